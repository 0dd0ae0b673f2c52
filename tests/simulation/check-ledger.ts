import {
  type DeliveryStatus,
  isTerminal,
  NEXT_STATUSES,
  type Reason,
  REASONS,
} from "../../src/shared/domain/delivery.ts";
import { type DeliverySnapshot, OPEN, type Snapshot } from "./ledger-snapshot.ts";
import type { Simulation } from "./simulation.ts";

/** Reasons that go with each way to end. */
const REASONS_OF: Partial<Record<DeliveryStatus, readonly Reason[]>> = {
  cancelled: ["appointment_cancelled", "appointment_rescheduled", "superseded", "operator"],
  expired: ["too_late"],
  temporary_failure: ["unreachable", "mailbox_full"],
};

const WAKE_MAX_MICROS = 3 * 3_600 * 1e6;
/** The relay looks at leases that ended a little apart. */
const SPREAD_MICROS = 21 * 1e6;

/** A process may take a time for now that is not yet. */
const SKEW_MICROS = 3 * 1e6;

const FIRST: readonly DeliveryStatus[] = ["scheduled", "queued", "suppressed"];
const FALLS_BACK: readonly DeliveryStatus[] = [
  "temporary_failure",
  "permanent_failure",
  "technical_failure",
  "suppressed",
];

export type LedgerCheck = {
  /** Compares the ledger after a statement with the ledger before it. */
  compare: (snapshot: Snapshot) => void;
  snapshot: () => Snapshot;
  /** Whether an attempt was once on record as sent. */
  wasSent: (deliveryId: string, attempt: number) => boolean;
  /** Every change of status that was seen, as "queued → sending". */
  transitions: ReadonlySet<string>;
};

/** Watches the ledger, statement by statement. */
export function createLedgerCheck({ timeline, trace, fail }: Simulation): LedgerCheck {
  const transitions = new Set<string>();
  const sent = new Set<string>();
  let last: Snapshot = new Map();

  function compareRow(row: DeliverySnapshot, before: DeliverySnapshot | undefined): void {
    const broken = (rule: string) =>
      fail(`${rule}: ${before?.status} → ${row.status}, ${JSON.stringify(row)}`);
    const from = before?.status ?? row.status;
    if (before === undefined || from !== row.status) {
      trace("ledger", `${row.id} ${before?.status ?? ""} → ${row.status} ${row.reason ?? ""}`);
    }
    if (from !== row.status) {
      if (!NEXT_STATUSES[from].includes(row.status)) broken("not in the status machine");
      transitions.add(`${from} → ${row.status}`);
    }
    if (before === undefined && !FIRST.includes(row.status)) broken("it begins by waiting");
    const attempts = row.attempt - (before?.attempt ?? 0);
    if (attempts !== (from !== "sending" && row.status === "sending" ? 1 : 0)) {
      broken("an attempt begins with the lease, and only there");
    }
    if (row.failures < (before?.failures ?? 0)) broken("failures are not forgotten");
    if (row.status === "sent" || row.status === "delivered") {
      sent.add(`${row.id}/${row.attempt}`);
      if (row.providerId === null) broken("what was sent has its provider's id");
    }
    checkReason(row, broken);
    checkTimes(row, broken);
  }

  function checkReason({ status, reason }: DeliverySnapshot, broken: (rule: string) => void): void {
    const needed = isTerminal(status) && status !== "delivered";
    if ((reason !== null) !== needed) broken("a reason for each end but a good one");
    if (reason !== null && !(REASONS_OF[status] ?? REASONS).includes(reason)) {
      broken("a reason that fits the end");
    }
  }

  function checkTimes(row: DeliverySnapshot, broken: (rule: string) => void): void {
    const { status, wakeAt, expiresAt, leaseUntil } = row;
    if (OPEN.includes(status) !== (wakeAt !== null)) broken("what is open is looked at again");
    if (wakeAt === null) return;
    const waits = status === "scheduled" || status === "queued";
    if (waits && wakeAt > Math.max(expiresAt, timeline.now() + SKEW_MICROS)) {
      broken("what waits is looked at when it expires");
    }
    if (waits && leaseUntil !== null) broken("nobody holds what waits");
    if (status === "sending" && leaseUntil === null) broken("somebody holds what is being sent");
    if (status === "sending" && wakeAt > (leaseUntil ?? 0) + SPREAD_MICROS) {
      broken("a lease has an end");
    }
    if (!Number.isFinite(wakeAt) || wakeAt > timeline.now() + WAKE_MAX_MICROS && !waits) {
      broken("an unclear attempt is not left for hours");
    }
  }

  /** The second channel waits as long as the first may still do, and no longer. */
  function checkFollower(row: DeliverySnapshot, leader: DeliverySnapshot): void {
    const waits = row.dueAt === Infinity && row.status === "scheduled";
    const open = OPEN.includes(leader.status) ||
      (leader.status === "sent" && leader.channel === "sms");
    if (waits && !open) {
      fail(`a follower waits for one that has ended: ${JSON.stringify({ row, leader })}`);
    }
    const before = last.get(row.id);
    const freed = before?.dueAt === Infinity && row.dueAt !== Infinity &&
      row.status === "scheduled";
    if (freed && !FALLS_BACK.includes(leader.status)) {
      fail(`a follower goes before its turn: ${JSON.stringify({ row, leader })}`);
    }
  }

  return {
    compare: (snapshot) => {
      for (const id of last.keys()) {
        if (!snapshot.has(id)) fail(`a delivery has vanished: ${id}`);
      }
      for (const row of snapshot.values()) {
        compareRow(row, last.get(row.id));
        const leader = row.after === null ? undefined : snapshot.get(row.after);
        if (leader !== undefined) checkFollower(row, leader);
      }
      last = snapshot;
    },
    snapshot: () => last,
    wasSent: (deliveryId, attempt) => sent.has(`${deliveryId}/${attempt}`),
    transitions,
  };
}
