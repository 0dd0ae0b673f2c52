import assert from "node:assert/strict";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import { check, type Verdict } from "./checker.ts";
import { deploy, type Deployment, type Replicated, SERVICE_KEY } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { uniqueId } from "./ledger.ts";
import { createSmtpServer, type SmtpServer } from "./smtp-server.ts";
import { createTestConfig } from "./test-config.ts";
import { createTwilioServer, type TwilioServer } from "./twilio-server.ts";

const WEEK_MS = 7 * 86_400_000;

export type Submitted = { reference: string; notificationId: string; deliveryId: string };

/** A deployment whose providers do what the test says, and the account of what was asked for and what arrived. */
export type FaultWorld = {
  deployment: Deployment;
  smtp: SmtpServer;
  twilio: TwilioServer;
  /** Asks for one message, and is told that it is stored. */
  submit: (channel: Channel, options?: SubmitOptions) => Promise<Submitted>;
  /** Lets the leases be over that somebody had a moment ago, as two minutes would. */
  endLeases: () => Promise<void>;
  /** Lets delays and pauses be over, as an hour would. Whoever holds a lease keeps it. */
  endDelays: () => Promise<void>;
  /** The delivery's id of each message that a provider has taken. */
  arrived: () => string[];
  /** Waits for the end of all, with no regard to delays. */
  untilNoneIsOpen: (options?: { timeoutMs?: number }) => Promise<void>;
  verdict: () => Promise<Verdict>;
};

export type SubmitOptions = {
  clinic?: string;
  reference?: string;
  phone?: string;
  email?: string;
  sendAt?: Date;
  /** A dispatcher past the load balancer. */
  url?: string;
};

export async function startFaultWorld(services: readonly Replicated[]): Promise<FaultWorld> {
  const [smtp, twilio] = [await createSmtpServer(), await createTwilioServer()];
  const deployment = await deploy({
    services,
    replicasOfEach: 1,
    environment: {
      CONFIG_DIR: await createTestConfig(),
      SMTP_URL: smtp.url,
      TWILIO_API_URL: twilio.url,
    },
  });
  const { sql } = deployment;
  const startsAt = new Date(Date.now() + WEEK_MS).toISOString(); // A repeat must say the same
  const requested = new Set<string>();
  const accepted = new Set<string>();
  let people = 0;

  async function submit(channel: Channel, options: SubmitOptions = {}): Promise<Submitted> {
    people += 1;
    const { clinic = "oak", reference = uniqueId("fault"), url = deployment.dispatcherUrl } =
      options;
    const {
      phone = `+447700${900_000 + people}`,
      email = `p${people}@patients.example.org`,
      sendAt,
    } = options;
    requested.add(reference);
    const response = await fetch(`${url}/v1/notifications`, {
      method: "POST",
      headers: { authorization: `Bearer ${SERVICE_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({
        clinic,
        reference,
        template: "appointment-confirmation",
        recipient: {
          name: "Sam",
          locale: "en-GB",
          timeZone: "Europe/London",
          ...(channel === "sms" ? { phone } : { email }),
        },
        channels: [channel],
        ...(sendAt === undefined ? {} : { sendAt: sendAt.toISOString() }),
        appointment: {
          id: reference,
          version: "1",
          startsAt,
          timeZone: "Europe/London",
        },
      }),
    });
    const answer = await response.json() as { id: string; deliveries: { id: string }[] };
    assert.equal(response.status, 202, JSON.stringify(answer));
    accepted.add(reference);
    return { reference, notificationId: answer.id, deliveryId: answer.deliveries[0]?.id ?? "" };
  }

  async function endDelays(): Promise<void> {
    await sql`update delivery.sender set paused_until = now() where paused_until > now()`;
    await sql`
      update delivery.delivery
         set wake_at = least(wake_at, now()), due_at = least(due_at, now())
       where status in ('scheduled', 'queued', 'unknown') and lease_until is null and due_at < 'infinity'`;
  }

  const arrived = () => [
    ...smtp.mails.map(({ text }) => /^Message-ID: <([^@>]*)@/m.exec(text)?.[1] ?? "none"),
    ...twilio.messages.map(({ parameters }) =>
      new URL(parameters.StatusCallback ?? "http://none").searchParams.get("delivery") ?? "none"
    ),
  ];

  return {
    deployment,
    smtp,
    twilio,
    submit,
    arrived,
    endLeases: async () =>
      void await sql`
        update delivery.delivery set lease_until = now(), wake_at = now() where lease_until > now()`,
    endDelays,
    untilNoneIsOpen: async ({ timeoutMs = 30_000 } = {}) => {
      await eventually("every delivery has come to its end", async () => {
        await endDelays();
        const [row] = await sql`
          select count(*)::int as open from delivery.delivery
           where status in ('scheduled', 'queued', 'sending', 'unknown')`;
        return row?.open === 0;
      }, { timeoutMs });
    },
    verdict: () => check({ sql, arrived: arrived(), requested, accepted }),
  };
}

/** One line for people: what the fault was, and what came of it. */
export function describeVerdict(what: string, verdict: Verdict): string {
  const { requested, accepted, arrived, lost, duplicated, unexpected, recovered } = verdict;
  const extra = Object.values(duplicated).reduce((sum, count) => sum + count - 1, 0);
  return `${what}: requested ${requested}, accepted ${accepted}, arrived ${arrived}, lost ${lost.length}, ` +
    `duplicated ${extra}, unexpected ${unexpected.length}, recovered ${recovered.length}`;
}
