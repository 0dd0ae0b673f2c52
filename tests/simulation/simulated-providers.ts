import { createSmtpProvider, type SmtpTransport } from "../../src/email-worker/smtp.ts";
import { BrokenCall } from "../../src/sms-worker/http-client.ts";
import { Refusal } from "../../src/sms-worker/twilio-client.ts";
import { sendThrough, type TwilioMessages } from "../../src/sms-worker/twilio.ts";
import type postgres from "postgres";
import { claimMessage, findUnclaimed } from "../../src/shared/database/receipts.ts";
import type { Call, Provider } from "../../src/shared/delivery/provider.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import type { History, Message } from "./history.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { Simulation } from "./simulation.ts";

export type SimulatedProviders = {
  /** The way out that a worker of the channel has: the real adapter, over a client that reaches no network. */
  connect: (process: SimulatedProcess, channel: Channel, sql: postgres.Sql) => Provider;
  goAway: (ms: number) => void;
};

/** What comes of a call: whether the provider takes the message, what its client throws, and after how long. */
type Fate = { taken: boolean; trouble: Trouble | null; answerMs: number };
type Trouble = "away" | "unclear" | "retry" | "refused" | "unusable";

const TIMEOUT_MS = 30_000;
const SLOWEST_MS = 26_000;

const twilioSays = (status: number, code: number, afterMs?: number) =>
  new Refusal({ kind: "answer", status, code, afterMs });
/** An error of nodemailer. `body`: the message was on its way. */
const smtpSays = (command: string, response: string, fields: { code?: string; body?: true } = {}) =>
  Object.assign(new Error("simulated"), { code: "EENVELOPE", command, response, ...fields });

const ERRORS: Record<Channel, Record<Trouble, readonly Error[]>> = {
  sms: {
    away: [new BrokenCall("ECONNREFUSED", false)],
    unclear: [new BrokenCall("ETIMEDOUT", true), twilioSays(500, 20500)],
    retry: [twilioSays(429, 20429), twilioSays(429, 20429, 90_000), twilioSays(400, 30003)],
    refused: [21211, 21610, 21612, 21614, 21617].map((code) => twilioSays(400, code)),
    unusable: [twilioSays(401, 20003), twilioSays(403, 20005)],
  },
  email: {
    away: [smtpSays("CONN", "", { code: "ECONNECTION" })],
    unclear: [smtpSays("DATA", "", { code: "ETIMEDOUT", body: true })],
    retry: [smtpSays("RCPT TO", "451 4.3.0 later"), smtpSays("RCPT TO", "452 4.2.2 full")],
    refused: ["550 5.1.1", "550 5.7.1", "554"].map((reply) => smtpSays("RCPT TO", reply)),
    unusable: [smtpSays("AUTH PLAIN", "535 5.7.8", { code: "EAUTH" })],
  },
};

export function createSimulatedProviders(
  simulation: Simulation,
  { history, onLeave, onCall, onTaken }: {
    history: History;
    onLeave: (process: SimulatedProcess, attempt: string) => void;
    /** A call has arrived. */
    onCall: (call: Call, arrived: { leftAt: number; messageId: string }) => Promise<void>;
    onTaken: (message: Message) => void;
  },
): SimulatedProviders {
  const { random, timeline, faults } = simulation;
  let awayUntil = 0;

  function drawFate(): Fate {
    const soon = random.between(1, 300);
    const not = (trouble: Trouble): Fate => ({ taken: false, trouble, answerMs: soon });
    if (timeline.now() < awayUntil) return not("away");
    if (random.chance(faults.unclear)) {
      const answerMs = random.chance(0.5) ? TIMEOUT_MS : soon;
      return { taken: random.chance(0.6), trouble: "unclear", answerMs };
    }
    if (random.chance(faults.retry)) return not("retry");
    if (random.chance(faults.refused)) return not("refused");
    if (random.chance(faults.senderUnusable)) return not("unusable");
    const slow = faults.unclear > 0 && random.chance(0.2);
    return { taken: true, trouble: null, answerMs: slow ? SLOWEST_MS : soon };
  }

  /** The call's way to the provider and back. Returns the message's id, or throws what a client would. */
  async function place(process: SimulatedProcess, call: Call, messageId: string): Promise<string> {
    const { id, attempt, channel } = call.delivery;
    const leftAt = timeline.now();
    onLeave(process, `${id}/${attempt}`);
    const { trouble } = await process.effect(
      `call for ${id}`,
      async () => {
        await onCall(call, { leftAt, messageId });
        const fate = drawFate();
        if (fate.taken) take(call, messageId);
        if (fate.trouble === "unclear") history.accidents.add(`${id}/${attempt}`);
        return fate;
      },
      {
        travelMs: random.between(1, faults.unclear > 0 ? 3_000 : 50),
        answerMs: ({ answerMs }) => answerMs,
      },
    );
    if (trouble !== null) throw random.pick(ERRORS[channel][trouble]);
    return messageId;
  }

  function take({ delivery, address, clinic, message }: Call, providerId: string): void {
    const { id, attempt, channel } = delivery;
    const taken: Message = {
      channel,
      providerId,
      deliveryId: id,
      attempt,
      to: address,
      from: clinic.senders[channel]?.from ?? "",
      text: message.text,
      takenAt: timeline.now(),
      reportedFailed: false,
      reportedDelivered: false,
    };
    history.messages.push(taken);
    onTaken(taken);
  }

  /** Twilio's list of what it has taken, as its client would read it. */
  function list(process: SimulatedProcess, address: string) {
    return process.effect(`list of messages`, () => {
      if (timeline.now() < awayUntil) throw ERRORS.sms.away[0];
      if (random.chance(faults.enquiryFails)) throw random.pick(ERRORS.sms.unclear);
      return history.messages.filter(({ channel, to }) => channel === "sms" && to === address)
        .map(({ providerId, from, text, takenAt }) => ({
          sid: providerId,
          from,
          body: text,
          // Twilio tells whole seconds
          dateCreated: new Date(Math.floor(takenAt / 1e6) * 1_000),
        }));
    });
  }

  function connectSms(process: SimulatedProcess, sql: postgres.Sql): Provider {
    let sids = 0;
    return overCall((callOf) => {
      const messages = {
        create: async ({ statusCallback }: { statusCallback: string }) => {
          sids += 1;
          const sid = `SM${process.name.replace(/\W/g, "")}${sids}`.padEnd(34, "0");
          const query = new URL(statusCallback).searchParams;
          return { sid: await place(process, callOf(query.get("delivery") ?? ""), sid) };
        },
        list: ({ to }: { to: string }) => list(process, to),
      };
      return sendThrough(messages as unknown as TwilioMessages, {
        statusCallbackUrl: "https://notify.example.test/webhooks/twilio/status",
        known: {
          claim: (doubt) => claimMessage(sql, doubt),
          unclaimed: (doubt) => findUnclaimed(sql, doubt),
        },
      });
    });
  }

  function connectEmail(process: SimulatedProcess): Provider {
    return overCall((callOf) => {
      const transport = {
        use: () => {},
        sendMail: async (
          { messageId, body }: { messageId: string; body: { stream?: unknown } },
        ) => {
          const id = messageId.slice(1, messageId.indexOf("@"));
          try {
            return { messageId: await place(process, callOf(id), messageId) };
          } catch (error) {
            if ("body" in (error as Error)) body.stream = { readableDidRead: true };
            throw error;
          }
        },
      };
      return createSmtpProvider(transport as unknown as SmtpTransport);
    });
  }

  return {
    connect: (process, channel, sql) =>
      channel === "sms" ? connectSms(process, sql) : connectEmail(process),
    goAway: (ms) => awayUntil = timeline.now() + ms * 1_000,
  };
}

/** Lets a client find the call that it was made for. */
function overCall(connect: (callOf: (deliveryId: string) => Call) => Provider): Provider {
  const calls = new Map<string, Call>();
  const provider = connect((deliveryId) => {
    const call = calls.get(deliveryId);
    if (call === undefined) throw new Error(`Cannot find the call for ${deliveryId}`);
    return call;
  });
  return {
    send: (call) => {
      calls.set(call.delivery.id, call);
      return provider.send(call);
    },
    enquire: (call) => provider.enquire(call),
  };
}
