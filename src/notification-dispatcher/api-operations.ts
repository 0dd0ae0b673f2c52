import { z } from "zod";
import {
  Accepted,
  BatchAnswer,
  CancellationAnswer,
  Notification,
  NotificationList,
  PreviewAnswer,
  ProblemDetails,
} from "./answers.ts";
import { CancelRequest } from "./appointment-routes.ts";
import { BATCH_MAX, BatchRequest, NotificationRequest } from "./notification-request.ts";
import type { ProblemCode } from "./problem.ts";
import { PreviewRequest } from "./template-routes.ts";

/** The bodies, by the names they have in the document. */
export const SCHEMAS = {
  NotificationRequest,
  Batch: BatchRequest.extend({ notifications: z.array(NotificationRequest).min(1).max(BATCH_MAX) }),
  CancelRequest,
  PreviewRequest,
  Accepted,
  BatchAnswer,
  Notification,
  NotificationList,
  Cancellation: CancellationAnswer,
  Preview: PreviewAnswer,
  Problem: ProblemDetails,
};
export type SchemaName = keyof typeof SCHEMAS;

export type Operation = {
  method: "get" | "post";
  /** With {parameters} in braces. */
  path: string;
  summary: string;
  /** Whose callback it is; left out: a client's, with its key. */
  caller?: "twilio" | "anybody";
  idempotent?: boolean;
  query?: boolean;
  request?: { schema: SchemaName; required: boolean };
  answer: { status: number; schema?: SchemaName; type?: string; description: string };
  problems: ProblemCode[];
};

const ANY: ProblemCode[] = [
  "unauthorized",
  "too_many_requests",
  "overloaded",
  "unavailable",
  "internal",
];
const BODY: ProblemCode[] = [
  "malformed_json",
  "invalid_request",
  "too_large",
  "unsupported_media_type",
];

/** Every route of the Dispatcher: a test holds this list and the routes together. */
export const OPERATIONS: Operation[] = [
  {
    method: "post",
    path: "/v1/notifications",
    summary: "Ask for one notification",
    idempotent: true,
    request: { schema: "NotificationRequest", required: true },
    answer: { status: 202, schema: "Accepted", description: "Stored: it will come to an end" },
    problems: [
      ...ANY,
      ...BODY,
      "clinic_not_allowed",
      "recipient_not_allowed",
      "reference_reused",
      "idempotency_key_reused",
    ],
  },
  {
    method: "post",
    path: "/v1/notifications/batch",
    summary: `Ask for up to ${BATCH_MAX} notifications; each has its own result`,
    idempotent: true,
    request: { schema: "Batch", required: true },
    answer: { status: 200, schema: "BatchAnswer", description: "What became of each, in order" },
    problems: [...ANY, ...BODY],
  },
  {
    method: "get",
    path: "/v1/notifications",
    summary: "List notifications, newest first",
    query: true,
    answer: { status: 200, schema: "NotificationList", description: "One page" },
    problems: [...ANY, "invalid_request"],
  },
  {
    method: "get",
    path: "/v1/notifications/{id}",
    summary: "See where a notification stands, and how it came there",
    answer: { status: 200, schema: "Notification", description: "With its timeline" },
    problems: [...ANY, "not_found"],
  },
  {
    method: "post",
    path: "/v1/notifications/{id}/cancel",
    summary: "Withdraw what no worker has taken of a notification",
    answer: { status: 200, schema: "Notification", description: "Withdrawn, now or before" },
    problems: [...ANY, "not_found", "nothing_to_cancel"],
  },
  {
    method: "post",
    path: "/v1/appointments/{id}/cancel-notifications",
    summary: "Withdraw what no worker has taken of the messages about an appointment. " +
      "The message that tells of its cancellation stays",
    request: { schema: "CancelRequest", required: false },
    answer: { status: 200, schema: "Cancellation", description: "What was found" },
    problems: [...ANY, ...BODY, "not_found"],
  },
  {
    method: "post",
    path: "/v1/templates/{id}/preview",
    summary: "See a template's texts, with what an SMS of it costs",
    request: { schema: "PreviewRequest", required: false },
    answer: { status: 200, schema: "Preview", description: "Nothing is sent or stored" },
    problems: [...ANY, ...BODY, "not_found", "clinic_not_allowed"],
  },
  {
    method: "post",
    path: "/webhooks/twilio/status",
    summary: "Twilio reports what became of a message",
    caller: "twilio",
    answer: { status: 204, description: "Recorded" },
    problems: [],
  },
  {
    method: "get",
    path: "/openapi.json",
    summary: "This document",
    caller: "anybody",
    answer: { status: 200, type: "application/json", description: "OpenAPI 3.1" },
    problems: [],
  },
  {
    method: "get",
    path: "/docs",
    summary: "This document, to read",
    caller: "anybody",
    answer: { status: 200, type: "text/html", description: "A page without scripts" },
    problems: [],
  },
];
