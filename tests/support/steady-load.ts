import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const TICK_MS = 10;
const TIMEOUT_MS = 30_000;
/** As many as an Ingress has to a few replicas. A request for which there is none free waits here. */
const CONNECTIONS_MAX = 128;

export type Answer = { status: number; headers: Record<string, unknown>; body: string };

/** Posts JSON on a kept connection. A connection that fails is the status 0. */
export function post(
  url: string,
  { agent, key, body }: { agent?: Agent | undefined; key: string; body: string },
): Promise<Answer> {
  const headers = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  return new Promise((resolve) => {
    const fail = (error: Error) => resolve({ status: 0, headers: {}, body: error.message });
    const options = { method: "POST", headers, timeout: TIMEOUT_MS, ...agent && { agent } };
    const sent = request(url, options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => text += part).on("error", fail);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    sent.on("error", fail).on("timeout", () => sent.destroy(new Error("no answer")));
    sent.end(body);
  });
}

export type SteadyLoad = {
  /** The references that were asked for, and those of them that got a 202. */
  requested: ReadonlySet<string>;
  accepted: ReadonlySet<string>;
  /** How often each other answer came: its status, or why there was none. */
  refused: () => Record<string, number>;
  /** Asks for no more and waits for the answers. */
  stop: () => Promise<void>;
};

type Options = {
  url: string;
  perSecond: number;
  /** The request with this number, with a reference of its own, and whose it is. */
  make: (index: number) => { key: string; notification: { reference: string } };
};

/** Submits notifications one by one at a steady rate, however long the answers take, and repeats none. */
export function startSteadyLoad({ url, perSecond, make }: Options): SteadyLoad {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  const requested = new Set<string>();
  const accepted = new Set<string>();
  const refused = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  let going = true;

  async function submit(index: number): Promise<void> {
    const { key, notification } = make(index);
    requested.add(notification.reference);
    const { status, body } = await post(`${url}/v1/notifications`, {
      ...{ agent, key, body: JSON.stringify(notification) },
    });
    const answer = status === 0 ? body : `${status}`;
    if (status === 202) accepted.add(notification.reference);
    else refused.set(answer, (refused.get(answer) ?? 0) + 1);
  }

  async function run(): Promise<void> {
    const startedAt = performance.now();
    let index = 0;
    while (going) {
      const due = (performance.now() - startedAt) / 1_000 * perSecond;
      for (; index < due; index += 1) {
        const work = submit(index).finally(() => underWay.delete(work));
        underWay.add(work);
      }
      await sleep(TICK_MS);
    }
    await Promise.all(underWay);
  }

  const done = run();
  return {
    requested,
    accepted,
    refused: () => Object.fromEntries(refused),
    stop: async () => {
      going = false;
      await done;
      agent.destroy();
    },
  };
}
