import { parsePhoneNumberFromString } from "libphonenumber-js";
import type { Clinic } from "../domain/clinic.ts";
import type { Channel } from "../domain/delivery.ts";
import { countSegments, normaliseTypography, type SmsEncoding } from "../domain/sms-segments.ts";
import { createTimeWriter, type WrittenTime } from "./appointment-time.ts";
import { checkTemplateData, type DataProblem } from "./check-data.ts";
import { htmlDocument } from "./html-document.ts";
import type { Values } from "./liquid.ts";
import { chooseLocales } from "./locales.ts";
import { cleanLine, firstName } from "./personal-values.ts";
import { type LoadedTemplate, readTemplates, type Template } from "./read-templates.ts";

export type { DataProblem, Template };

export type RenderInput = {
  template: string;
  channel: Channel;
  clinic: Pick<Clinic, "name" | "phone" | "country" | "locales">;
  /** The patient's, as a BCP 47 tag; null, or any other text, when it is not known. */
  locale: string | null;
  /** The patient's. Only the first name is used. */
  name: string | null;
  data: Readonly<Record<string, unknown>>;
  appointment: { startsAt: Date; timeZone: string } | null;
  /** The zone is named when a clock there shows another time than the appointment's. */
  patientZone?: string | null | undefined;
  /** Decides whether the year is told. */
  now: Date;
};

export type RenderedEmail = {
  channel: "email";
  locale: string;
  subject: string;
  text: string;
  html: string;
};
export type RenderedSms = {
  channel: "sms";
  locale: string;
  text: string;
  encoding: SmsEncoding;
  segments: number;
};
export type Rendered = RenderedEmail | RenderedSms;

export type Templates = {
  ids: string[];
  get: (id: string) => Template | undefined;
  /** What is wrong with a request's `data`: each with a JSON pointer (RFC 6901) into the request. */
  checkData: (id: string, data: Readonly<Record<string, unknown>>) => DataProblem[];
  /** `locale` in the result is the one the text is written in. */
  render: (input: RenderInput) => Rendered;
};

/** Reads `${configDir}/templates`, and reports every problem there at once. */
export async function loadTemplates(configDir: string): Promise<Templates> {
  const templates = await readTemplates(`${configDir}/templates`);
  const byId = new Map(templates.map((template) => [template.id, template]));
  const writeTime = createTimeWriter();
  const formatPhone = createPhoneFormat();

  function find(id: string): LoadedTemplate {
    const template = byId.get(id);
    if (template === undefined) throw new Error(`Cannot find the template "${id}"`);
    return template;
  }

  return {
    ids: [...byId.keys()],
    get: (id) => byId.get(id),
    checkData: (id, data) => checkTemplateData(find(id), data),
    render(input) {
      const template = find(input.template);
      const { clinic, locale: wanted, appointment, now } = input;
      const { written, dates } = chooseLocales({ wanted, clinic, available: template.texts });
      const time = appointment === null ? null : writeTime(dates, {
        ...appointment,
        readerZone: input.patientZone ?? appointment.timeZone,
        now,
      });
      if (time === null && template.appointment !== "any") {
        throw new Error(`Cannot render the template "${template.id}": it needs an appointment`);
      }
      const values = gatherValues(template, input, { time, formatPhone });
      return renderChannel(template, written, input.channel, values);
    },
  };
}

/** Writes a clinic's number as people read it. It costs a fifth of a message, and there are few clinics: each once. */
function createPhoneFormat(): (phone: string) => string {
  const written = new Map<string, string>();
  return (phone) => {
    const known = written.get(phone) ??
      parsePhoneNumberFromString(phone)?.formatInternational() ?? phone;
    written.set(phone, known);
    return known;
  };
}

function gatherValues(
  template: Template,
  { clinic, name, data }: RenderInput,
  { time, formatPhone }: { time: WrittenTime | null; formatPhone: (phone: string) => string },
): Values {
  const phone = formatPhone(clinic.phone);
  return {
    clinic: { name: clinic.name, phone, tel: clinic.phone, country: clinic.country },
    patient: { name: firstName(name) },
    appointment: time ?? { weekday: null, date: null, time: null, zone: null },
    data: Object.fromEntries(
      Object.keys(template.data).map((
        field,
      ) => [field, cleanLine(String(data[field] ?? "")) || null]),
    ),
  };
}

function renderChannel(
  { id, texts }: LoadedTemplate,
  locale: string,
  channel: Channel,
  values: Values,
): Rendered {
  function render(file: string): string {
    const text = texts.get(locale)?.get(file);
    if (text === undefined) throw new Error(`Cannot render "${id}": it has no text for ${channel}`);
    return text.render(values).trim();
  }

  switch (channel) {
    case "email": {
      const subject = render("subject.liquid").replace(/\s+/g, " ");
      const text = render("email.txt.liquid").replace(/\n{3,}/g, "\n\n");
      const html = htmlDocument({ locale, title: subject, body: render("email.html.liquid") });
      return { channel, locale, subject, text, html };
    }
    case "sms": {
      const text = normaliseTypography(render("sms.txt.liquid"));
      const { encoding, segments } = countSegments(text);
      return { channel, locale, text, encoding, segments };
    }
  }
}
