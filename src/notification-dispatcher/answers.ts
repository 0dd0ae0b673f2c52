import { z } from "zod";
import type { AcceptedNotification } from "../shared/database/notifications.ts";
import type { DeliveryEvent, NotificationState } from "../shared/database/notification-states.ts";
import {
  CHANNELS,
  DELIVERY_STATUSES,
  NOTIFICATION_STATUSES,
  REASONS,
} from "../shared/domain/delivery.ts";
import { type ProblemCode, PROBLEMS } from "./problem.ts";

// What the routes answer, for the document and for tests; the functions below build it

const channel = z.enum(CHANNELS);
const time = z.iso.datetime();
const links = z.object({ self: z.string() });

export const Accepted = z.object({
  id: z.uuid(),
  reference: z.string(),
  status: z.enum(["scheduled", "suppressed"]),
  deliveries: z.array(
    z.object({ id: z.uuid(), channel, status: z.enum(["scheduled", "suppressed"]) }),
  ),
  links,
});

export const ProblemDetails = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
  detail: z.string(),
  errors: z.array(
    z.object({
      pointer: z.string().meta({ description: "JSON Pointer into the request (RFC 6901)" }),
      code: z.string(),
      message: z.string(),
    }),
  ).optional(),
  requestId: z.string(),
}).meta({ description: "RFC 9457, with stable codes" });

export const BatchAnswer = z.object({
  results: z.array(
    z.union([
      z.object({ status: z.literal(202), notification: Accepted }),
      z.object({ status: z.int(), problem: ProblemDetails }),
    ]),
  ).meta({ description: "One for each notification, in their order" }),
});

const Delivery = z.object({
  id: z.uuid(),
  channel,
  status: z.enum(DELIVERY_STATUSES),
  reason: z.enum(REASONS).nullable(),
  attempt: z.int().meta({ description: "Calls to the provider begun" }),
  dueAt: time.nullable().meta({ description: "Null while it waits for another channel's outcome" }),
  providerCode: z.string().nullable(),
  senderTrouble: z.enum(["config_error", "account_suspended"]).nullable().meta({
    description: "Why the clinic's sender cannot send, while this waits for it to be mended",
  }),
});

const TimelineEntry = z.object({
  at: time,
  kind: z.enum(["accepted", "status", "receipt"]),
  deliveryId: z.uuid().optional(),
  channel: channel.optional(),
  status: z.string().optional().meta({ description: "Ours, or in a receipt the provider's word" }),
  reason: z.string().nullable().optional(),
  attempt: z.int().nullable().optional(),
  providerCode: z.string().nullable().optional(),
});

export const Notification = z.object({
  id: z.uuid(),
  reference: z.string(),
  clinic: z.string(),
  template: z.string(),
  status: z.enum(NOTIFICATION_STATUSES),
  appointment: z.object({
    id: z.string(),
    version: z.string().nullable(),
    startsAt: time.nullable(),
  }).nullable(),
  sendAt: time,
  expiresAt: time,
  createdAt: time,
  deliveries: z.array(Delivery),
  timeline: z.array(TimelineEntry).optional(),
  links,
});

export const NotificationList = z.object({
  notifications: z.array(Notification),
  links: links.extend({ next: z.string().optional() }).meta({
    description: "A page may hold fewer than asked for: go on until there is no next",
  }),
});

export const CancellationAnswer = z.object({
  cancelled: z.int(),
  inProgress: z.int(),
  alreadySent: z.int(),
  alreadyEnded: z.int(),
}).meta({ description: "Counts of deliveries" });

export const PreviewAnswer = z.object({
  template: z.string(),
  clinic: z.string(),
  parts: z.array(
    z.union([
      z.object({
        channel: z.literal("email"),
        locale: z.string(),
        subject: z.string(),
        text: z.string(),
        html: z.string(),
      }),
      z.object({
        channel: z.literal("sms"),
        locale: z.string(),
        text: z.string(),
        encoding: z.enum(["GSM-7", "UCS-2"]),
        segments: z.int(),
      }),
    ]),
  ),
  warnings: z.array(z.object({ channel, code: z.string(), message: z.string() })),
});

export function selfLink(id: string): string {
  return `/v1/notifications/${id}`;
}

/** The same for an acceptance and each of its repeats, byte for byte. */
export function describeAccepted(notification: AcceptedNotification): z.infer<typeof Accepted> {
  return { ...notification, links: { self: selfLink(notification.id) } };
}

export function describeNotification(
  state: NotificationState,
  events?: readonly DeliveryEvent[],
): z.infer<typeof Notification> {
  const { clinicId, appointmentId, appointmentVersion, startsAt, createdAt } = state;
  return {
    id: state.id,
    reference: state.reference,
    clinic: clinicId,
    template: state.template,
    status: state.status,
    appointment: appointmentId === null ? null : {
      id: appointmentId,
      version: appointmentVersion,
      startsAt: startsAt?.toISOString() ?? null,
    },
    sendAt: state.sendAt.toISOString(),
    expiresAt: state.expiresAt.toISOString(),
    createdAt: createdAt.toISOString(),
    deliveries: state.deliveries,
    ...events && {
      timeline: [
        { at: createdAt.toISOString(), kind: "accepted" as const },
        ...events.map((event) => ({ ...event, at: event.at.toISOString() })),
      ],
    },
    links: { self: selfLink(state.id) },
  };
}
