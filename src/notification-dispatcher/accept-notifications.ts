import type postgres from "postgres";
import { claimIdempotencyKey } from "../shared/database/idempotency-keys.ts";
import {
  type AcceptedNotification,
  findEarlier,
  insertNotifications,
} from "../shared/database/notifications.ts";
import { inTransaction } from "../shared/database/transaction.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import type { Hint } from "../shared/messaging/queue.ts";
import { createBatcher } from "../shared/runtime/batch.ts";
import type { Clock } from "../shared/runtime/clock.ts";
import type { Templates } from "../shared/templates/templates.ts";
import type { Client } from "./clients.ts";
import { type Draft, draftNotifications } from "./draft-notifications.ts";
import type { Instruments } from "./instruments.ts";
import { hashCanonically } from "./notification-request.ts";
import type { NotificationPlan } from "./plan-notification.ts";
import type { HintPublisher } from "./publish-hints.ts";
import { readSubmission, type Refused, type Submission } from "./read-submission.ts";

export type Answer =
  /** Committed. `replayed`: by an earlier request, of which this is a repeat. */
  | { kind: "accepted"; notification: AcceptedNotification; replayed: boolean }
  | Refused;

export type Acceptor = {
  submitOne: (client: Client, body: unknown, key: string | undefined) => Promise<Answer>;
  /** Answers in the order of `items`. `body` is what a repeat with the same key must equal. */
  submitBatch: (
    client: Client,
    batch: { items: readonly unknown[]; body: unknown; key: string | undefined },
  ) => Promise<Answer[]>;
};

type Dependencies = {
  sql: postgres.Sql;
  clinics: ReadonlyMap<string, Clinic>;
  templates: Templates;
  timeZones: () => Promise<ReadonlySet<string>>;
  hints: HintPublisher;
  instruments: Instruments;
  now: () => Date;
  clock?: Clock | undefined;
  createId?: (() => string) | undefined;
};

type KeyClaim = { clientId: string; key: string; requestSha256: string };

/** Single requests that come within this time of each other share one statement and one commit. */
const LINGER_MS = 1;
const SHARED_MAX = 100;
/** Fewer than there are connections: when the database is slow the relay and the reads still get one. */
const SHARED_AT_ONCE = 6;

export function createAcceptor(dependencies: Dependencies): Acceptor {
  const { instruments, clock } = dependencies;
  const submitShared = createBatcher<Submission, Answer>(
    { max: SHARED_MAX, lingerMs: LINGER_MS, atOnce: SHARED_AT_ONCE, clock },
    (submissions) => accept(dependencies, submissions),
  );

  async function submitOne(client: Client, body: unknown, key: string | undefined) {
    const timeZones = await dependencies.timeZones();
    const submission = readSubmission(body, client, { ...dependencies, timeZones });
    if (submission.kind === "refused") return submission;
    if (key === undefined) return await submitShared(submission);
    const claim = { clientId: client.id, key, requestSha256: submission.sha256 };
    const [answer] = await accept(dependencies, [submission], claim);
    return answer as Answer;
  }

  return {
    submitOne: async (client, body, key) => {
      const answer = await submitOne(client, body, key);
      count(instruments, answer);
      return answer;
    },
    submitBatch: async (client, { items, body, key }) => {
      const timeZones = await dependencies.timeZones();
      const read = items.map((item) =>
        readSubmission(item, client, { ...dependencies, timeZones })
      );
      const claim = key === undefined
        ? undefined
        : { clientId: client.id, key, requestSha256: hashCanonically(body) };
      const submissions = read.filter((item) => item.kind === "submitted");
      const accepted = (await accept(dependencies, submissions, claim)).values();
      const answers = read.map((item): Answer =>
        item.kind === "refused" ? item : accepted.next().value as Answer
      );
      for (const answer of answers) count(instruments, answer);
      return answers;
    },
  };
}

/**
 * Stores what can be accepted and then answers: nothing is answered that is not committed.
 *
 * A repeat gets the earlier answer even if the request would be refused by now, for its time has passed.
 */
async function accept(
  dependencies: Dependencies,
  submissions: readonly Submission[],
  claim?: KeyClaim,
): Promise<Answer[]> {
  const drafts = await draftNotifications(dependencies, submissions);
  const plans = drafts.filter((draft) => draft.kind === "planned").map(({ plan }) => plan);
  const queued = chooseQueued(dependencies.hints, plans);
  const stored = await store(dependencies.sql, { plans, queued }, claim);
  if (stored === null) {
    return submissions.map(() => ({
      kind: "refused",
      refusal: { code: "idempotency_key_reused" },
    }));
  }
  const isStored = (index: number) => {
    const draft = drafts[index];
    return draft?.kind === "planned" && stored.has(draft.plan.notification.id);
  };
  const due = submissions.flatMap(({ traceparent }, index) => {
    const draft = drafts[index];
    return draft?.kind === "planned" && isStored(index) ? hintsOf(draft.plan, traceparent) : [];
  });
  const atOnce = due.filter(({ deliveryId }) => queued.has(deliveryId));
  dependencies.hints.offer(atOnce);
  dependencies.hints.leave(due.length - atOnce.length);

  const open = submissions.filter((_, index) => !isStored(index));
  const earlier = await indexEarlier(dependencies.sql, open);
  return submissions.map((submission, index): Answer => {
    const draft = drafts[index] as Draft;
    if (draft.kind === "planned" && isStored(index)) {
      return { kind: "accepted", notification: draft.plan.accepted, replayed: false };
    }
    const found = earlier.get(referenceKey(submission));
    if (found?.requestSha256 === submission.sha256) {
      return { kind: "accepted", notification: found.accepted, replayed: true };
    }
    if (draft.kind === "refused") return draft;
    const code = found === undefined ? "unavailable" : "reference_reused";
    return { kind: "refused", refusal: { code } };
  });
}

/** The deliveries whose hints go to the queue at once. What there is no room for waits for its sender's turn. */
function chooseQueued(
  hints: HintPublisher,
  plans: readonly NotificationPlan[],
): ReadonlySet<string> {
  return new Set(plans.flatMap((plan) => {
    const urgent = plan.notification.appointmentNeed === "cancelled";
    return hintsOf(plan).filter(({ channel }) => hints.mayOffer(channel, { urgent }))
      .map(({ deliveryId }) => deliveryId);
  }));
}

/** The ids of those that are new; null when the client has used its key for another request. */
async function store(
  sql: postgres.Sql,
  { plans, queued }: { plans: readonly NotificationPlan[]; queued: ReadonlySet<string> },
  claim: KeyClaim | undefined,
): Promise<ReadonlySet<string> | null> {
  const rows = {
    notifications: plans.map(({ notification }) => notification),
    deliveries: plans.flatMap(({ deliveries }) => deliveries),
    queued: [...queued],
  };
  if (claim === undefined || plans.length === 0) return await insertNotifications(sql, rows);
  return await inTransaction(
    sql,
    async (tx) => await claimIdempotencyKey(tx, claim) ? await insertNotifications(tx, rows) : null,
  );
}

async function indexEarlier(sql: postgres.Sql, submissions: readonly Submission[]) {
  const references = submissions.map(({ client, request: { reference } }) => ({
    clientId: client.id,
    reference,
  }));
  const earlier = await findEarlier(sql, references);
  return new Map(earlier.map((one) => [`${one.clientId} ${one.accepted.reference}`, one]));
}

function referenceKey({ client, request }: Submission): string {
  return `${client.id} ${request.reference}`;
}

function hintsOf(
  { deliveries, dueNow }: NotificationPlan,
  traceparent?: string | undefined,
): Hint[] {
  if (!dueNow) return [];
  return deliveries.filter(({ after }) => after === null)
    .map(({ id, channel }) => ({ deliveryId: id, channel, traceparent }));
}

function count({ submissions }: Instruments, answer: Answer): void {
  const outcome = answer.kind === "refused"
    ? answer.refusal.code
    : answer.replayed
    ? "repeated"
    : "accepted";
  submissions.add(1, { outcome });
}
