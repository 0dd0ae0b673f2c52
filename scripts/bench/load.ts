import { Agent, request } from "node:http";
import type { Channel } from "../../src/shared/domain/delivery.ts";

const DAY_MS = 86_400_000;

/** A request as a clinic's booking system makes it, due at once. */
export function notificationRequest(
  index: number,
  { run, channel }: { run: string; channel: Channel },
) {
  return {
    reference: `${run}:${index}`,
    template: "appointment-confirmation",
    recipient: {
      name: "Sam Taylor",
      email: `patient-${index}@patients.example.org`,
      phone: `+44770090${String(index % 10_000).padStart(4, "0")}`,
      locale: "en-GB",
      timeZone: zoneWhereItIsNoon(),
    },
    channels: [channel],
    data: { practitioner: "Dr Ruiz" },
    appointment: {
      id: `${run}:${index}`,
      version: "1",
      startsAt: new Date(Date.now() + 7 * DAY_MS).toISOString(),
      timeZone: "Europe/London",
    },
  };
}

/** Outside everybody's quiet hours, whenever this runs. POSIX counts these offsets westwards. */
export function zoneWhereItIsNoon(): string {
  const hours = new Date().getUTCHours() - 12;
  return `Etc/GMT${hours < 0 ? "" : "+"}${hours}`;
}

export type Post = { url: string; key: string; bodies: readonly string[]; parallel: number };

/** Posts each body once, `parallel` at a time, on connections that are kept. Returns the answers. */
export async function postAll({ url, key, bodies, parallel }: Post): Promise<string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: parallel });
  const answers: string[] = [];
  const left = bodies.entries(); // Shared: each takes the next
  const post = async () => {
    for (const [index, body] of left) answers[index] = await postOne(url, { agent, key, body });
  };
  await Promise.all(Array.from({ length: parallel }, post));
  agent.destroy();
  return answers;
}

function postOne(
  url: string,
  { agent, key, body }: { agent: Agent; key: string; body: string },
): Promise<string> {
  const headers = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => text += part);
      response.on("error", reject).on("end", () => {
        const { statusCode = 0 } = response;
        if (statusCode < 300) resolve(text);
        else reject(new Error(`Cannot bench: the dispatcher answered ${statusCode} to a request`));
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
