import { connect, type Socket } from "node:net";

export type Sockets = {
  /** Connects. Once nothing has been heard on it for `silenceMaxMs` all connections end. */
  open: (address: { host: string; port: number; path?: string | undefined }) => Socket;
  /** Ends all connections at once, and rejects what is under way on them. */
  endAll: () => void;
};

const CHECK_MS = 1_000;

/**
 * The sockets of one pool.
 *
 * When the network swallows everything nobody is told, and the system itself tries for a quarter of an hour. The bytes
 * are counted rather than listened to, for the client takes all listeners off when it begins TLS.
 */
export function createSockets({ silenceMaxMs }: { silenceMaxMs: number }): Sockets {
  const sockets = new Set<Socket>();

  function endAll(): void {
    for (const socket of sockets) socket.destroy();
  }

  function watch(socket: Socket): void {
    let heard = 0;
    let said = 0;
    let asked = false;
    let silentMs = 0;
    const timer = setInterval(() => {
      const { bytesRead, bytesWritten } = socket;
      if (bytesRead !== heard) [asked, silentMs] = [false, 0];
      // Only the first question since the last answer: under load more are added to a silent connection all the time
      else if (bytesWritten !== said && !asked) [asked, silentMs] = [true, 0];
      else silentMs += CHECK_MS; // Not measured: while this process stands still the silence is its own
      [heard, said] = [bytesRead, bytesWritten];

      if (silentMs >= silenceMaxMs && !socket.destroyed) endAll(); // The others go to the same place
      if (!socket.destroyed) return;
      clearInterval(timer);
      sockets.delete(socket);
    }, CHECK_MS);
    timer.unref();
  }

  return {
    open: ({ host, port, path }) => {
      const socket = path === undefined ? connect(port, host) : connect(path);
      sockets.add(socket);
      watch(socket);
      mendEnd(socket);
      return Object.assign(socket, { host, port }); // The client checks the certificate against `host`
    },
    endAll,
  };
}

/** What postgres 3.4.9 makes of the end of a connection leaves statements without an answer, or with a wrong one. */
function mendEnd(socket: Socket): void {
  // After an error it forgets the statements that were sent between the error and the close: never tell it of both
  const emit = socket.emit.bind(socket);
  socket.emit = (event: string | symbol, ...values: unknown[]) =>
    emit(event, ...(event === "close" ? [false] : values));
  // A proxy without a server behind it accepts and hangs up. Without an error it would try again without a pause
  socket.once("end", () => {
    if (socket.bytesRead > 0) return;
    socket.destroy(Object.assign(new Error("no server answered"), { code: "ECONNREFUSED" }));
  });
}
