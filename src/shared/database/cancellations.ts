import type { Db } from "./connect.ts";

/** What a withdrawal found, in deliveries. */
export type Cancellation = {
  cancelled: number;
  /** A worker has them, or the provider's answer is still to come. */
  inProgress: number;
  /** The provider has taken them. */
  alreadySent: number;
  /** Ended before, otherwise. */
  alreadyEnded: number;
};

/**
 * Withdraws what no worker has taken of one notification, on a person's wish. Returns how many deliveries.
 *
 * Compare-and-set: a lease taken at the same moment is either seen, or finds the delivery cancelled.
 */
export async function cancelNotification(
  db: Db,
  { id, clinicId }: { id: string; clinicId: string | null },
): Promise<number> {
  const { count } = await db`
    update delivery.delivery d
       set status = 'cancelled', reason = 'operator', wake_at = null, updated_at = now()
      from delivery.notification n
     where n.id = ${id} and d.notification_id = n.id
       ${clinicId === null ? db`` : db`and n.clinic_id = ${clinicId}`}
       and d.status in ('scheduled', 'queued') and d.lease_until is null
  `;
  return count;
}

/**
 * Withdraws what no worker has taken of the messages about one appointment.
 *
 * With `version`, only messages about an earlier one; of versions that are not numbers, any other counts as earlier.
 * The message that tells of the cancellation itself stays.
 */
export async function cancelAppointmentNotifications(
  db: Db,
  { appointmentId, clinicId, version }: {
    appointmentId: string;
    clinicId: string | null;
    version: string | null;
  },
): Promise<Cancellation> {
  const reason = version === null ? "appointment_cancelled" : "superseded";
  // Not left to a cast in SQL: that of a constant is tried before the case it stands in is chosen
  const number = version !== null && /^\d{1,18}$/.test(version) ? version : null;
  const [row] = await db<[Cancellation]>`
    with matching as materialized (
      select d.id, d.status
        from delivery.notification n
        join delivery.delivery d on d.notification_id = n.id
       where n.appointment_id = ${appointmentId} and n.appointment_need <> 'cancelled'
         ${clinicId === null ? db`` : db`and n.clinic_id = ${clinicId}`}
         and case
               when ${version}::text is null or n.appointment_version is null then true
               when n.appointment_version ~ '^\\d{1,18}$' and ${number}::bigint is not null
                 then n.appointment_version::bigint < ${number}
               else n.appointment_version <> ${version}::text
             end
    ), cancelled as (
      update delivery.delivery d
         set status = 'cancelled', reason = ${reason}, wake_at = null, updated_at = now()
        from matching m
       where d.id = m.id and d.status in ('scheduled', 'queued') and d.lease_until is null
      returning d.id
    )
    select count(c.id)::int as cancelled,
           count(*) filter (where c.id is null and m.status in ('scheduled', 'queued', 'sending', 'unknown'))::int
             as in_progress,
           count(*) filter (where m.status in ('sent', 'delivered'))::int as already_sent,
           count(*) filter (where m.status not in ('scheduled', 'queued', 'sending', 'unknown', 'sent', 'delivered'))::int
             as already_ended
      from matching m
      left join cancelled c using (id)
  `;
  return row;
}
