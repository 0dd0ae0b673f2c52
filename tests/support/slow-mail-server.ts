import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SMTPServer } from "smtp-server";

export type SlowMailServer = {
  url: string;
  /** The delivery of each mail that it has taken. */
  arrived: () => readonly string[];
};

/** Takes every mail, but thinks about each for `answerAfterMs`. Each connection takes one mail at a time. */
export async function createSlowMailServer(
  { answerAfterMs }: { answerAfterMs: number },
): Promise<SlowMailServer> {
  const arrived: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onData: async (stream, _, taken) => {
      let text = "";
      for await (const part of stream.setEncoding("utf8")) text += part;
      await sleep(answerAfterMs);
      arrived.push(/^Message-ID: <(.*)@/im.exec(text)?.[1] ?? "unknown");
      taken();
    },
  });
  server.on("error", () => {}); // A worker that is stopped hangs up
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  after(() => new Promise<void>((closed) => server.close(() => closed())));
  const { port } = server.server.address() as AddressInfo;
  return { url: `smtp://127.0.0.1:${port}`, arrived: () => arrived };
}
