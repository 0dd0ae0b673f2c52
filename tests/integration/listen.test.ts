import assert from "node:assert/strict";
import { Agent, get } from "node:http";
import { describe, test } from "node:test";
import { listen } from "../../src/shared/runtime/listen.ts";

type Answer = { status: number; connection: string | undefined };

/** Asks on a connection that the client would keep. */
function ask(port: number): Promise<Answer> {
  const agent = new Agent({ keepAlive: true });
  return new Promise<Answer>((resolve, reject) => {
    get({ host: "127.0.0.1", port, agent }, (response) => {
      const { statusCode = 0, headers: { connection } } = response;
      response.resume().on("end", () => resolve({ status: statusCode, connection }));
    }).on("error", reject);
  }).finally(() => agent.destroy());
}

async function start() {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  const fetch = () => {
    asked.resolve();
    return answer.promise;
  };
  const { port, close } = await listen({ fetch, port: 0, hostname: "127.0.0.1" });
  return { port, close, asked: asked.promise, answer: () => answer.resolve(new Response("ok")) };
}

describe("listen()", () => {
  test("keeps connections while it listens", async () => {
    const { port, close, answer } = await start();
    answer();
    assert.deepEqual(await ask(port), { status: 200, connection: "keep-alive" });
    await close();
  });

  test("answers what is in hand when it closes, and says that it is the connection's last", async () => {
    const { port, close, asked, answer } = await start();
    const inHand = ask(port);
    await asked;
    const closed = close();
    await assert.rejects(ask(port), /ECONNREFUSED/);
    answer();
    assert.deepEqual(await inHand, { status: 200, connection: "close" });
    await closed;
  });

  test("answers those who come late while it lingers", async () => {
    const { port, close, answer } = await start();
    answer();
    const closed = close({ lingerMs: 500 });
    assert.deepEqual(await ask(port), { status: 200, connection: "close" });
    await closed;
    await assert.rejects(ask(port), /ECONNREFUSED/);
  });
});
