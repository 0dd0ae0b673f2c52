import {
  findTimelineAppointment,
  listTimelineDeliveries,
  listTimelineEvents,
  listTimelineNotifications,
  listTimelineReminders,
  type TimelineAppointment,
  type TimelineDelivery,
  type TimelineEvent,
  type TimelineNotification,
  type TimelineReminder,
} from "../shared/database/appointment-timeline.ts";
import type { Db } from "../shared/database/connect.ts";

/** Why the patient got it, or not: what was planned, what was asked for, and what became of each delivery. */
export type Timeline = {
  appointment: TimelineAppointment;
  reminders: TimelineReminder[];
  notifications: (TimelineNotification & {
    deliveries: (TimelineDelivery & { events: TimelineEvent[] })[];
  })[];
};

const REMINDERS_MAX = 200;
const NOTIFICATIONS_MAX = 200;
const EVENTS_PER_DELIVERY_MAX = 100;

/** Null when there is no such appointment. The latest are shown where there are more than a screen can hold. */
export async function readTimeline(db: Db, appointmentId: string): Promise<Timeline | null> {
  const appointment = await findTimelineAppointment(db, appointmentId);
  if (appointment === null) return null;

  const { clinicId } = appointment;
  const [reminders, notifications] = await Promise.all([
    listTimelineReminders(db, { appointmentId, limit: REMINDERS_MAX }),
    listTimelineNotifications(db, { appointmentId, clinicId, limit: NOTIFICATIONS_MAX }),
  ]);
  const deliveries = await listTimelineDeliveries(db, notifications.map(({ id }) => id));
  const deliveryIds = deliveries.map(({ id }) => id);
  const events = await listTimelineEvents(db, {
    deliveryIds,
    perDelivery: EVENTS_PER_DELIVERY_MAX,
  });

  const eventsOf = Map.groupBy(events, ({ deliveryId }) => deliveryId);
  const deliveriesOf = Map.groupBy(deliveries, ({ notificationId }) => notificationId);
  return {
    appointment,
    reminders,
    notifications: notifications.map((notification) => ({
      ...notification,
      deliveries: (deliveriesOf.get(notification.id) ?? [])
        .map((delivery) => ({ ...delivery, events: eventsOf.get(delivery.id) ?? [] })),
    })),
  };
}
