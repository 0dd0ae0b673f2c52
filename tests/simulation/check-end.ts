import type postgres from "postgres";
import type { LedgerCheck } from "./check-ledger.ts";
import type { History } from "./history.ts";
import { type DeliverySnapshot, OPEN } from "./ledger-snapshot.ts";
import type { Simulation } from "./simulation.ts";

/** What a seed came to, in the words of RabbitMQ's own Jepsen suite (total-queue checker). */
export type Counts = {
  requested: number;
  accepted: number;
  arrived: number;
  /** Asked for without an answer, and done all the same. */
  recovered: number;
  /** More than one message of a delivery, each for a reason. */
  repeated: number;
};

/** Judges the end, when time has run on until nothing is left to do. */
export async function checkEnd(
  { fail }: Simulation,
  { sql, history, ledger }: { sql: postgres.Sql; history: History; ledger: LedgerCheck },
): Promise<Counts> {
  const rows = [...ledger.snapshot().values()];
  const ofReference = Map.groupBy(rows, ({ reference }) => reference);
  for (const row of rows) checkRow(row);
  for (const { reference, ids } of history.submissions) {
    if (ids.size > 1) fail(`${reference} got several ids: ${[...ids].join()}`);
    const [id] = ids;
    const stored = ofReference.get(reference) ?? [];
    if (id !== undefined && !stored.some(({ notificationId }) => notificationId === id)) {
      fail(`${reference} was accepted and is lost`);
    }
  }
  await checkReminders();

  const { messages, submissions } = history;
  return {
    requested: submissions.length,
    accepted: submissions.filter(({ ids }) => ids.size > 0).length,
    arrived: messages.length,
    recovered:
      submissions.filter(({ reference, ids }) => ids.size === 0 && ofReference.has(reference))
        .length,
    repeated: messages.length - new Set(messages.map(({ deliveryId }) => deliveryId)).size,
  };

  function checkRow(row: DeliverySnapshot): void {
    const { id, mode, status } = row;
    const broken = (rule: string) => fail(`${rule}: ${JSON.stringify(row)}`);
    if (OPEN.includes(status)) broken("all comes to an end");
    if (mode !== "live") return;
    const messages = history.messages.filter((message) =>
      message.deliveryId === id || message.providerId === row.providerId
    );
    if (status === "sent" && messages.length === 0) broken("what is sent has left");
    if (status === "delivered" && !messages.some(({ reportedDelivered }) => reportedDelivered)) {
      broken("what is delivered has arrived");
    }
  }

  async function checkReminders(): Promise<void> {
    const reminders = await sql<{ status: string; notificationId: string | null }[]>`
      select status, notification_id from clinic.reminder`;
    const notifications = new Set(rows.map(({ notificationId }) => notificationId));
    for (const { status, notificationId } of reminders) {
      if (status === "planned" || status === "claimed") fail(`a reminder is left ${status}`);
      if (status === "failed") fail("a reminder was refused");
      if (notificationId !== null && !notifications.has(notificationId)) {
        fail("a reminder was forwarded and is lost");
      }
    }
  }
}
