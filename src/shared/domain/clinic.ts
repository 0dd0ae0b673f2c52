import type { Channel, Strategy } from "./delivery.ts";

/** A time of day, "HH:MM", 24 hours. */
export type TimeOfDay = string;

/** The window in which nobody is disturbed, in the recipient's zone. May run over midnight. */
export type QuietHours = { from: TimeOfDay; until: TimeOfDay };

/**
 * One reminder of a clinic's plan. `before` is an ISO 8601 duration: a date duration (P7D, P1D) is wall-clock
 * arithmetic in the appointment's zone, at the appointment's own time of day or `at`; a time duration (PT2H) is elapsed time.
 */
export type ReminderStage = {
  before: string;
  at?: TimeOfDay | undefined;
  channels: Channel[];
  strategy: Strategy;
};

export type EmailSender = { from: string; ratePerSecond?: number | undefined };

export type SmsSender = {
  /** A number in E.164, an alphanumeric sender, or a Twilio Messaging Service SID (MG…). */
  from: string;
  ratePerSecond?: number | undefined;
};

export type Clinic = {
  id: string;
  name: string;
  /** IANA zone of the clinic; an appointment there is at this wall clock. */
  timeZone: string;
  /** ISO 3166-1 alpha-2: national phone numbers are read as numbers of this country. */
  country: string;
  /** For patients whose language no template is written in: the first of these that one is. */
  locales: [string, ...string[]];
  /** The number a patient may call, printed in messages. */
  phone: string;
  /** Ids of the FHIR Locations that are this clinic. */
  fhirLocations: string[];
  senders: { email?: EmailSender | undefined; sms?: SmsSender | undefined };
  quietHours: QuietHours | null;
  reminders: ReminderStage[];
  /** A reminder stops being useful this long before the appointment: ISO 8601 time duration. */
  expiresBefore: string;
  /** Reminders are held back when the last successful import is older: ISO 8601 time duration. */
  maxDataAge: string;
  /** Content and addresses are erased this many days after the notification has expired. */
  retentionDays: number;
  /** Whether an email whose fate is unclear is sent again, with the same Message-ID, or left to a person. */
  unclearEmail: "repeat" | "hold";
};
