import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import type postgres from "postgres";
import { parseClients } from "../../src/notification-dispatcher/clients.ts";
import {
  createDispatcher,
  type Dispatcher,
} from "../../src/notification-dispatcher/create-dispatcher.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { Hint, Queue } from "../../src/shared/messaging/queue.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { loadTemplates, type Templates } from "../../src/shared/templates/templates.ts";
import { createTestDatabase } from "./database.ts";

export const PUBLIC_URL = "https://notify.example.test";

/** A queue that nobody consumes: it shows what was published. */
export type FakeQueue = Queue & {
  hints: Hint[];
  /** Set it to make the queue take nothing. */
  refuses: boolean;
};

export function createFakeQueue(): FakeQueue {
  const queue: FakeQueue = {
    hints: [],
    refuses: false,
    publish: async (hints) => {
      if (queue.refuses) return [...hints];
      queue.hints.push(...hints);
      return [];
    },
    consume: () => Promise.reject(new Error("Cannot consume: this queue only takes")),
    ready: async () => null,
    check: async () => {},
    close: async () => {},
  };
  return queue;
}

/** Two clinics with all channels and no quiet hours, one that is quiet at night, one without a phone number. */
export const CLINICS: ReadonlyMap<string, Clinic> = new Map(
  [
    clinic({ id: "oak" }),
    clinic({ id: "ruiz", timeZone: "Europe/Madrid", country: "ES", locales: ["es", "en"] }),
    clinic({ id: "night", quietHours: { from: "21:00", until: "08:00" } }),
    clinic({ id: "mute", senders: { email: { from: "mute@example.test" } } }),
  ].map((one) => [one.id, one]),
);

function clinic(fields: Partial<Clinic> & { id: string }): Clinic {
  return {
    name: "Oak Clinic",
    timeZone: "Europe/London",
    country: "GB",
    locales: ["en"],
    phone: "+442079460958",
    fhirLocations: [],
    senders: { email: { from: "oak@example.test" }, sms: { from: "Oak" } },
    quietHours: null,
    reminders: [],
    expiresBefore: "PT15M",
    maxDataAge: "PT6H",
    retentionDays: 7,
    unclearEmail: "repeat",
    ...fields,
  };
}

export const KEYS = {
  oak: "key-of-oak",
  oakNext: "next-key-of-oak",
  oakTeam: "key-of-the-team",
  oakTest: "key-for-tests",
  ruiz: "key-of-ruiz",
  night: "key-of-night",
  mute: "key-of-mute",
  all: "key-for-all",
};

export const TEAM_EMAIL = "team@example.test";
export const TEAM_PHONE = "+447700900999";

const hashes = (...keys: string[]) =>
  keys.map((key) => createHash("sha256").update(key).digest("hex"));

export const CLIENTS = {
  clients: [
    { id: "oak-desk", clinic: "oak", type: "live", keySha256: hashes(KEYS.oak, KEYS.oakNext) },
    {
      id: "oak-team",
      clinic: "oak",
      type: "team",
      keySha256: hashes(KEYS.oakTeam),
      allow: [TEAM_EMAIL, TEAM_PHONE],
    },
    { id: "oak-test", clinic: "oak", type: "test", keySha256: hashes(KEYS.oakTest) },
    { id: "ruiz-desk", clinic: "ruiz", type: "live", keySha256: hashes(KEYS.ruiz) },
    { id: "night-desk", clinic: "night", type: "live", keySha256: hashes(KEYS.night) },
    { id: "mute-desk", clinic: "mute", type: "live", keySha256: hashes(KEYS.mute) },
    { id: "reminders", clinic: "*", type: "live", keySha256: hashes(KEYS.all) },
  ],
};

const TEXTS = {
  "subject.liquid": "From {{ clinic.name }}",
  "email.html.liquid": "<p>Hello {{ patient.name }}, see you at {{ appointment.time }}</p>",
  "email.txt.liquid": "Hello {{ patient.name }}, see you at {{ appointment.time }}",
  "sms.txt.liquid": "{{ patient.name }}: {{ appointment.time }}",
};
const TEMPLATES: Record<string, { description: string; texts: Record<string, string> }> = {
  visit: {
    description: "appointment: booked\ndata:\n  practitioner: required\n  room: optional\n",
    texts: { ...TEXTS, "sms.txt.liquid": "{{ patient.name }} sees {{ data.practitioner }}" },
  },
  withdrawn: { description: "appointment: cancelled\n", texts: TEXTS },
  news: { description: "appointment: any\n", texts: { "sms.txt.liquid": "News!" } },
};

export async function loadTestTemplates(): Promise<Templates> {
  const directory = await mkdtemp(join(tmpdir(), "carillon-templates-"));
  try {
    for (const [id, { description, texts }] of Object.entries(TEMPLATES)) {
      const files = Object.entries(texts).map(([name, text]) => [`en/${name}`, text] as const);
      for (const [name, text] of [["template.yaml", description] as const, ...files]) {
        const file = join(directory, "templates", id, name);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, text);
      }
    }
    return await loadTemplates(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

export type Answer = {
  status: number;
  headers: Headers;
  text: string;
  // deno-lint-ignore no-explicit-any -- what a test expects of it is the test
  body: any;
};

export type TestDispatcher = {
  sql: postgres.Sql;
  queue: FakeQueue;
  templates: Templates;
  routes: Dispatcher["routes"];
  ready: Dispatcher["ready"];
  /** Lines the dispatcher logged. */
  lines: string[];
  post: (
    path: string,
    body?: unknown,
    options?: { key?: string; headers?: Record<string, string> },
  ) => Promise<Answer>;
  get: (path: string, options?: { key?: string }) => Promise<Answer>;
};

/** A dispatcher over a database of its own, reached without a network. It stops after the test file. */
export async function createTestDispatcher(): Promise<TestDispatcher> {
  const running: Dispatcher[] = [];
  // Before the database goes: hooks run in the order they were made
  after(async () => void await Promise.all(running.map(({ stop }) => stop())));
  const { sql } = await createTestDatabase();
  const templates = await loadTestTemplates();
  const queue = createFakeQueue();
  const lines: string[] = [];
  const dispatcher = createDispatcher({
    sql,
    queue,
    clinics: CLINICS,
    templates,
    clients: parseClients(CLIENTS, { file: "clients.yaml", clinics: CLINICS }),
    publicUrl: PUBLIC_URL,
    twilioAuthToken: "twilio-token",
    log: createLog("test", { level: "debug", write: (line) => void lines.push(line) }),
  });
  running.push(dispatcher);
  const { routes, ready } = dispatcher;

  async function send(path: string, init: RequestInit): Promise<Answer> {
    const response = await routes.request(path, init);
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    const body = isJson ? JSON.parse(text) : undefined;
    return { status: response.status, headers: response.headers, text, body };
  }

  return {
    sql,
    queue,
    templates,
    routes,
    ready,
    lines,
    get: (path, { key = KEYS.oak } = {}) =>
      send(path, { headers: { authorization: `Bearer ${key}` } }),
    post: (path, body, { key = KEYS.oak, headers = {} } = {}) => {
      const content = body === undefined ? {} : {
        body: typeof body === "string" || isBytes(body) ? body : JSON.stringify(body),
        headers: { "content-type": "application/json" },
      };
      return send(path, {
        method: "POST",
        ...content,
        headers: { authorization: `Bearer ${key}`, ...content.headers, ...headers },
      });
    },
  };
}

function isBytes(body: unknown): body is Uint8Array<ArrayBuffer> {
  return body instanceof Uint8Array;
}

export function uniqueReference(): string {
  return `reference-${randomBytes(6).toString("hex")}`;
}

export function inHours(hours: number): string {
  return new Date(Date.now() + hours * 3_600_000).toISOString();
}

/** A request that is accepted as it is: about a visit in two days, by text message, now. */
export function createRequest(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    reference: uniqueReference(),
    template: "visit",
    recipient: { name: "Ana", email: "ana@example.test", phone: "+34600111222" },
    channels: ["sms"],
    data: { practitioner: "Dr Ruiz" },
    appointment: { id: "a-1", version: "3", startsAt: inHours(48), timeZone: "Europe/Madrid" },
    ...fields,
  };
}
