import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import type { Queue } from "../../src/shared/messaging/queue.ts";
import { createLog, type Log } from "../../src/shared/runtime/log.ts";
import type { Templates } from "../../src/shared/templates/templates.ts";

export function clinic(fields: Partial<Clinic> = {}): Clinic {
  return {
    id: "oak",
    name: "Oak Clinic",
    timeZone: "Europe/London",
    country: "GB",
    locales: ["en"],
    phone: "+442079460000",
    fhirLocations: [],
    senders: {
      email: { from: "Oak Clinic <reminders@oak.example>" },
      sms: { from: "+447700900000" },
    },
    quietHours: null,
    reminders: [],
    expiresBefore: "PT15M",
    maxDataAge: "PT6H",
    retentionDays: 7,
    unclearEmail: "repeat",
    ...fields,
  };
}

/** Words that show what they were made of. The template "broken" cannot be rendered. */
export const plainTemplates: Pick<Templates, "render"> = {
  render({ template, channel, clinic, name, locale }) {
    if (template === "broken") throw new Error("undefined variable: data.practitioner");
    const text = `${clinic.name} to ${name}: ${template}`;
    const written = locale ?? "en";
    if (channel === "sms") {
      return { channel, locale: written, text, encoding: "GSM-7", segments: 1 };
    }
    return { channel, locale: written, subject: text, text, html: `<p>${text}</p>` };
  },
};

/** What was logged, one JSON line after another. */
export function createTestLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  return { log: createLog("test", { level: "debug", write: (line) => lines.push(line) }), lines };
}

export async function hint(
  queue: Queue,
  channel: Channel,
  ids: readonly string[],
): Promise<void> {
  await queue.publish(ids.map((deliveryId) => ({ deliveryId, channel })));
}
