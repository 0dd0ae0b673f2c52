import { type Context, Hono } from "hono";
import type postgres from "postgres";
import { z } from "zod";
import { cancelNotification } from "../shared/database/cancellations.ts";
import {
  getNotificationState,
  listDeliveryEvents,
  listNotificationStates,
} from "../shared/database/notification-states.ts";
import { NOTIFICATION_STATUSES } from "../shared/domain/delivery.ts";
import type { Acceptor, Answer } from "./accept-notifications.ts";
import { describeAccepted, describeNotification, selfLink } from "./answers.ts";
import { type ClientEnv, visibleClinic } from "./clients.ts";
import { readJson } from "./json-body.ts";
import { BATCH_BYTES_MAX, BatchRequest, REQUEST_BYTES_MAX } from "./notification-request.ts";
import { checkInput, describeProblem, PROBLEMS, type Refusal, sendProblem } from "./problem.ts";

const PAGE_DEFAULT = 50;
const PAGE_MAX = 200;

export const IdempotencyKey = z.string().regex(
  /^[\x21-\x7e]{1,255}$/,
  "expected 1 to 255 printable ASCII characters",
);

export const ListQuery = z.strictObject({
  reference: z.string().min(1).max(255).optional(),
  appointmentId: z.string().min(1).max(128).optional(),
  status: z.enum(NOTIFICATION_STATUSES).optional(),
  cursor: z.string().transform(decodeCursor).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
});

export function createNotificationRoutes(
  { sql, acceptor }: { sql: postgres.Sql; acceptor: Acceptor },
): Hono<ClientEnv> {
  const app = new Hono<ClientEnv>();

  app.post("/v1/notifications", async (c) => {
    const key = readIdempotencyKey(c);
    if (key.kind === "refused") return sendProblem(c, key.refusal);
    const body = await readJson(c, { maxBytes: REQUEST_BYTES_MAX });
    if (body.kind === "refused") return sendProblem(c, body.refusal);

    const answer = await acceptor.submitOne(c.get("client"), body.value, key.value);
    if (answer.kind === "refused") return sendProblem(c, answer.refusal);
    if (answer.replayed) c.header("idempotent-replayed", "true");
    c.header("location", selfLink(answer.notification.id));
    return c.json(describeAccepted(answer.notification), 202);
  });

  app.post("/v1/notifications/batch", async (c) => {
    const key = readIdempotencyKey(c);
    if (key.kind === "refused") return sendProblem(c, key.refusal);
    const body = await readJson(c, { maxBytes: BATCH_BYTES_MAX });
    if (body.kind === "refused") return sendProblem(c, body.refusal);
    const batch = checkInput(BatchRequest, body.value);
    if (batch.kind === "invalid") {
      return sendProblem(c, { code: "invalid_request", errors: batch.errors });
    }

    const answers = await acceptor.submitBatch(c.get("client"), {
      items: batch.data.notifications,
      body: body.value,
      key: key.value,
    });
    const accepted = answers.filter((answer) => answer.kind === "accepted");
    if (accepted.length > 0 && accepted.every(({ replayed }) => replayed)) {
      c.header("idempotent-replayed", "true");
    }
    return c.json({ results: answers.map((answer) => describeResult(answer, c)) });
  });

  app.get("/v1/notifications", async (c) => {
    const query = checkInput(ListQuery, c.req.query());
    if (query.kind === "invalid") {
      return sendProblem(c, { code: "invalid_request", errors: query.errors });
    }
    const { reference, appointmentId, status, cursor, limit } = query.data;
    const client = c.get("client");
    const { states, next } = await listNotificationStates(sql, {
      clinicId: visibleClinic(client),
      reference: reference === undefined ? null : { clientId: client.id, reference },
      appointmentId: appointmentId ?? null,
      status: status ?? null,
      before: cursor ?? null,
      limit,
    });
    const links = {
      self: linkTo(c, {}),
      ...next !== null && { next: linkTo(c, { cursor: encodeCursor(next) }) },
    };
    return c.json({ notifications: states.map((state) => describeNotification(state)), links });
  });

  app.get("/v1/notifications/:id", async (c) => {
    const scope = { id: c.req.param("id"), clinicId: visibleClinic(c.get("client")) };
    const described = await readNotification(sql, scope);
    return described === null ? sendProblem(c, { code: "not_found" }) : c.json(described);
  });

  app.post("/v1/notifications/:id/cancel", async (c) => {
    const scope = { id: c.req.param("id"), clinicId: visibleClinic(c.get("client")) };
    const cancelled = isUuid(scope.id) ? await cancelNotification(sql, scope) : 0;
    const described = await readNotification(sql, scope);
    if (described === null) return sendProblem(c, { code: "not_found" });
    // A repeat finds what an earlier call has withdrawn
    const done = described.deliveries.some(({ reason }) => reason === "operator");
    if (cancelled > 0 || done) return c.json(described);
    const states = described.deliveries.map(({ channel, status }) => `${channel} is ${status}`);
    return sendProblem(c, { code: "nothing_to_cancel", detail: states.join(", ") });
  });

  return app;
}

async function readNotification(
  sql: postgres.Sql,
  scope: { id: string; clinicId: string | null },
) {
  if (!isUuid(scope.id)) return null;
  const state = await getNotificationState(sql, scope);
  if (state === null) return null;
  return describeNotification(state, await listDeliveryEvents(sql, scope.id));
}

function describeResult(answer: Answer, c: Context) {
  if (answer.kind === "accepted") {
    return { status: 202, notification: describeAccepted(answer.notification) };
  }
  const { status } = PROBLEMS[answer.refusal.code];
  return { status, problem: describeProblem(answer.refusal, c.get("requestId")) };
}

function readIdempotencyKey(
  c: Context,
): { kind: "read"; value: string | undefined } | { kind: "refused"; refusal: Refusal } {
  const value = c.req.header("idempotency-key");
  if (value === undefined || IdempotencyKey.safeParse(value).success) {
    return { kind: "read", value };
  }
  const detail = "Idempotency-Key: expected 1 to 255 printable ASCII characters";
  return { kind: "refused", refusal: { code: "invalid_request", detail } };
}

function isUuid(id: string): boolean {
  return z.uuid().safeParse(id).success;
}

function linkTo(c: Context, changes: Record<string, string>): string {
  const query = new URLSearchParams({ ...c.req.query(), ...changes }).toString();
  return query === "" ? c.req.path : `${c.req.path}?${query}`;
}

/** Opaque, so that what it holds may change. */
function encodeCursor(id: string): string {
  return Buffer.from(id.replaceAll("-", ""), "hex").toString("base64url");
}

function decodeCursor(cursor: string, context: z.core.$RefinementCtx): string {
  const hex = Buffer.from(cursor, "base64url").toString("hex");
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  if (isUuid(id)) return id;
  context.addIssue({ code: "custom", message: "expected the cursor of a links.next" });
  return z.NEVER;
}
