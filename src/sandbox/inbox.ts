import type { Channel } from "../shared/domain/delivery.ts";

export type DeliveredMessage = {
  id: string;
  channel: Channel;
  from: string;
  to: string;
  subject?: string;
  text: string;
  html?: string;
  /** ISO 8601, when the sandbox took it. */
  at: string;
  /** The Twilio SID, or the Message-ID header. */
  providerId: string;
  /** Text messages: in how many parts it is sent and billed. */
  segments?: number;
  /** Text messages: where its receipts go. */
  statusCallback?: string;
  /** Email: names in lower case, as they came. */
  headers?: Record<string, string>;
  /** Email: the names of the attached files. */
  attachments?: string[];
  /** Email: delivered. Text messages: Twilio's word, which changes as the receipts go out. */
  status: string;
};

export type Inbox = {
  add: (message: Omit<DeliveredMessage, "id">) => DeliveredMessage;
  get: (id: string) => DeliveredMessage | undefined;
  /** Oldest first. */
  list: (channel?: Channel) => DeliveredMessage[];
  /** How many ever came, also those no longer kept. */
  total: (channel?: Channel) => number;
  clear: () => void;
};

/** Keeps about the last `keep` messages; `onMessage` sees every one. */
export function createInbox(
  { keep, onMessage }: { keep: number; onMessage: (message: DeliveredMessage) => void },
): Inbox {
  const messages = new Map<string, DeliveredMessage>();
  const counts = { email: 0, sms: 0 };
  let added = 0; // Never reset: an id is not given twice

  return {
    add: (content) => {
      const message = { id: String(++added), ...content };
      messages.set(message.id, message);
      counts[message.channel]++;
      dropOldest(messages, keep);
      onMessage(message);
      return message;
    },
    get: (id) => messages.get(id),
    list: (channel) => {
      const all = [...messages.values()];
      return channel === undefined ? all : all.filter((message) => message.channel === channel);
    },
    total: (channel) => channel === undefined ? counts.email + counts.sms : counts[channel],
    clear: () => {
      messages.clear();
      counts.email = 0;
      counts.sms = 0;
    },
  };
}

/** Of every so many entries over `keep`, drops all at once: finding the oldest entry of a Map costs a walk over the dropped ones. */
export function dropOldest<Value>(
  entries: Map<string, Value>,
  keep: number,
  onDrop: (value: Value) => void = () => {},
): void {
  const slack = Math.ceil(keep / 10);
  if (entries.size <= keep + slack) return;
  for (const [key, value] of entries) {
    if (entries.size <= keep) return;
    entries.delete(key);
    onDrop(value);
  }
}
