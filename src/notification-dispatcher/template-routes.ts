import { Hono } from "hono";
import { z } from "zod";
import type { Clinic as ClinicConfig } from "../shared/domain/clinic.ts";
import { type Channel, CHANNELS } from "../shared/domain/delivery.ts";
import { countSegments } from "../shared/domain/sms-segments.ts";
import type { Rendered, Template, Templates } from "../shared/templates/templates.ts";
import { chooseClinic, type ClientEnv } from "./clients.ts";
import { readJson } from "./json-body.ts";
import {
  Appointment,
  Clinic,
  Recipient,
  REQUEST_BYTES_MAX,
  TemplateData,
} from "./notification-request.ts";
import { checkInput, type Fault, sendProblem } from "./problem.ts";
import { templateFaults, timeZoneFaults } from "./request-faults.ts";

export const PreviewRequest = z.strictObject({
  clinic: Clinic.optional(),
  channel: z.enum(CHANNELS).optional().meta({ description: "Left out: every channel" }),
  locale: Recipient.shape.locale,
  data: TemplateData.default({}),
  recipient: Recipient.pick({ name: true, timeZone: true }).default({}),
  appointment: Appointment.partial({ id: true }).optional(),
}).meta({
  examples: [{
    channel: "sms",
    locale: "es-ES",
    recipient: { name: "Ana" },
    data: { practitioner: "Dr Ruiz" },
    appointment: { startsAt: "2026-12-03T09:30:00Z", timeZone: "Europe/Madrid" },
  }],
});
type PreviewRequest = z.infer<typeof PreviewRequest>;

export type Warning = { channel: Channel; code: string; message: string };

/** More of them say nothing new. */
const COSTLY_CHARACTERS_MAX = 5;

export function createTemplateRoutes(
  { clinics, templates, timeZones, now }: {
    clinics: ReadonlyMap<string, ClinicConfig>;
    templates: Templates;
    timeZones: () => Promise<ReadonlySet<string>>;
    now: () => Date;
  },
): Hono<ClientEnv> {
  const app = new Hono<ClientEnv>();

  app.post("/v1/templates/:id/preview", async (c) => {
    const template = templates.get(c.req.param("id"));
    if (template === undefined) return sendProblem(c, { code: "not_found" });
    const body = await readJson(c, { maxBytes: REQUEST_BYTES_MAX, optional: true });
    if (body.kind === "refused") return sendProblem(c, body.refusal);
    const parsed = checkInput(PreviewRequest, body.value);
    if (parsed.kind === "invalid") {
      return sendProblem(c, { code: "invalid_request", errors: parsed.errors });
    }
    const request = parsed.data;
    const choice = chooseClinic(c.get("client"), request.clinic, clinics);
    if (choice.kind === "refused") return sendProblem(c, choice.refusal);
    const errors = findFaults(request, { template, templates, timeZones: await timeZones() });
    if (errors.length > 0) return sendProblem(c, { code: "invalid_request", errors });

    const { clinic } = choice;
    const channels = request.channel === undefined ? template.channels : [request.channel];
    const parts = channels.map((channel) =>
      render(templates, { template, channel, clinic, request, now: now() })
    );
    const warnings = parts.flatMap((part) => findWarnings(part, { template, request }));
    return c.json({ template: template.id, clinic: clinic.id, parts, warnings });
  });

  return app;
}

function findFaults(
  { channel, data, appointment, recipient }: PreviewRequest,
  { template, templates, timeZones }: {
    template: Template;
    templates: Templates;
    timeZones: ReadonlySet<string>;
  },
): Fault[] {
  const faults = [
    ...templateFaults({ template: template.id, data, appointment }, { templates }),
    ...timeZoneFaults({ recipient, appointment }, { timeZones }),
  ];
  if (channel === undefined || template.channels.includes(channel)) return faults;
  const message = "the template has no text for this channel";
  return [...faults, { pointer: "/channel", code: "channel_not_in_template", message }];
}

function render(
  templates: Templates,
  { template, channel, clinic, request, now }: {
    template: Template;
    channel: Channel;
    clinic: ClinicConfig;
    request: PreviewRequest;
    now: Date;
  },
): Rendered {
  const { locale, data, recipient, appointment } = request;
  return templates.render({
    template: template.id,
    channel,
    clinic,
    locale: locale ?? null,
    name: recipient.name ?? null,
    data,
    appointment: appointment === undefined ? null : {
      startsAt: appointment.startsAt,
      timeZone: appointment.timeZone ?? clinic.timeZone,
    },
    patientZone: recipient.timeZone,
    now,
  });
}

function findWarnings(
  part: Rendered,
  { template, request }: { template: Template; request: PreviewRequest },
): Warning[] {
  const { channel } = part;
  const warnings: Warning[] = [];
  if (part.channel === "sms" && part.encoding === "UCS-2") {
    const costly = [...new Set(part.text)]
      .filter((letter) => countSegments(letter).encoding === "UCS-2")
      .slice(0, COSTLY_CHARACTERS_MAX)
      .map((letter) => `U+${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}`);
    const message = `a segment holds 70 characters instead of 160, because of ${costly.join(", ")}`;
    warnings.push({ channel, code: "ucs2", message });
  }
  if (part.channel === "sms" && part.segments > 1) {
    const message = `the text is sent and billed as ${part.segments} segments`;
    warnings.push({ channel, code: "several_segments", message });
  }
  const wanted = request.locale === undefined ? null : new Intl.Locale(request.locale).language;
  if (wanted !== null && new Intl.Locale(part.locale).language !== wanted) {
    const message = `there is no text in this language: the one in ${part.locale} is used`;
    warnings.push({ channel, code: "locale_fallback", message });
  }
  for (const [field, need] of Object.entries(template.data)) {
    if (need !== "optional" || request.data[field] !== undefined) continue;
    warnings.push({ channel, code: "optional_data_missing", message: `without ${field}` });
  }
  return warnings;
}
