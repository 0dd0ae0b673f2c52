import type { Channel, Mode } from "../domain/delivery.ts";
import type { Db } from "./connect.ts";

/** Everything a worker needs for one call to the provider. It holds personal data: never log it. */
export type Lease = {
  id: string;
  /** `reconcile`: an attempt's fate is unclear, and the provider is to be asked instead of called. */
  task: "send" | "reconcile";
  /** The one delivery by which a sender in trouble shows whether it works again. */
  probe: boolean;
  /** Fences the result: a result of another attempt is not recorded. */
  attempt: number;
  failures: number;
  enquiries: number;
  dueAt: Date;
  attemptedAt: Date;
  leaseUntil: Date;
  channel: Channel;
  mode: Mode;
  notificationId: string;
  senderId: string;
  clinicId: string;
  template: string;
  /** Email address or E.164 number. Null only for a reconcile whose patient has lost the contact. */
  address: string | null;
  name: string | null;
  locale: string | null;
  timeZone: string;
  data: Record<string, unknown> | null;
  appointmentId: string | null;
  startsAt: Date | null;
  appointmentZone: string | null;
  appointmentSequence: number;
  quietFrom: string | null;
  quietUntil: string | null;
  expiresAt: Date;
};

/** While a sender in trouble tries, its other deliveries wait for so long: as long as a call may take. */
const PROBE_SECONDS = 30;
/** Those that tries held up come again soon after. */
const AFTER_PROBE_SECONDS = 2;

/**
 * The relay looks at leases that ended with their worker a little apart: else the delivery that ends every worker would
 * take the same others with it each time.
 */
const SPREAD_SECONDS = 20;

/**
 * Takes the lease on those of `ids` that may be sent this very moment, and settles those that may not.
 *
 * This is the last moment, so it decides everything late: the appointment's status and time, the patient's life,
 * consent, contact and suppression, the age of the data, quiet hours, the sender's pause, the expiry. A delivery that
 * somebody else holds, or that is not due, is neither leased nor changed. A delivery may be missing from the result for
 * any of these reasons: then there is nothing to do for its hint.
 */
export async function leaseDeliveries(
  db: Db,
  { ids, leaseSeconds }: { ids: readonly string[]; leaseSeconds: number },
): Promise<Lease[]> {
  return await db<Lease[]>`
    with wanted as materialized (
      select id, notification_id, channel, sender_id, status, expires_at, called_address
        from delivery.delivery
       where id = any(${ids as string[]}::uuid[])
         and status in ('scheduled', 'queued', 'unknown')
         and due_at <= now()
         and (lease_until is null or lease_until <= now())
         for update skip locked
    ), free_to_try as materialized (
      -- Whoever else holds the row is about to let one try
      select id
        from delivery.sender
       where in_trouble and paused_until <= now() and id in (select sender_id from wanted)
         for update skip locked
    ), facts as materialized (
      select w.id, w.sender_id, w.channel, w.status, w.expires_at, n.id as notification_id, n.clinic_id, n.mode,
             n.template, n.data, n.time_zone, n.starts_at, n.appointment_id, n.appointment_need,
             -- The patient's own quiet hours go before the clinic's
             case when pref.quiet_from is null then n.quiet_from else pref.quiet_from end as quiet_from,
             case when pref.quiet_from is null then n.quiet_until else pref.quiet_until end as quiet_until,
             -- An enquiry is about the address that was called
             coalesce(w.called_address, n.recipient ->> w.channel_key,
                      case w.channel when 'email' then p.email else p.phone end) as address,
             coalesce(n.recipient ->> 'name', p.given_name) as name,
             coalesce(n.locale, pref.locale, p.locale) as locale,
             coalesce(n.appointment_zone, a.time_zone) as appointment_zone,
             coalesce(a.sequence, 0) as appointment_sequence,
             a.status as appointment_status, a.starts_at as appointment_starts_at,
             -- Is what the clinic's system told us at least as new as what the request said?
             a.id is not null and case
               when n.appointment_version is null or n.appointment_version = a.version then true
               when n.appointment_version ~ '^\\d{1,18}$' and a.version ~ '^\\d{1,18}$'
                 then a.version::bigint > n.appointment_version::bigint
               else a.changed_at > n.created_at
             end as appointment_known,
             p.deceased, (not p.active or p.merged_into is not null) as inactive,
             case w.channel when 'email' then pref.email else pref.sms end as consent,
             n.max_data_age is not null
               and coalesce(c.succeeded_at < now() - n.max_data_age, true) as stale,
             s.paused_until > now() as paused, s.paused_until, s.in_trouble,
             s.id in (select id from free_to_try) as free_to_try,
             (now() at time zone n.time_zone)::time as local_time
        from (select *, case channel when 'email' then 'email' else 'phone' end as channel_key from wanted) w
        join delivery.notification n on n.id = w.notification_id
        join delivery.sender s on s.id = w.sender_id
        left join clinic.appointment a on a.id = n.appointment_id and a.clinic_id = n.clinic_id
        left join clinic.patient p on p.id = n.patient_id
        left join clinic.preference pref on pref.clinic_id = n.clinic_id and pref.patient_id = n.patient_id
        left join clinic.sync_cursor c on c.resource = 'Appointment'
    ), judged as materialized (
      select f.*,
             case
               when f.status = 'unknown' then case when f.paused then 'paused' else 'reconcile' end
               when f.expires_at <= now() then 'too_late'
               when f.appointment_known and f.appointment_need = 'booked'
                    and f.appointment_status in ('arrived', 'checked-in', 'fulfilled') then 'too_late'
               when f.appointment_known and f.appointment_need = 'booked'
                    and f.appointment_status <> 'booked' then 'appointment_cancelled'
               when f.appointment_known and f.appointment_need = 'booked'
                    and f.appointment_starts_at is distinct from f.starts_at then 'appointment_rescheduled'
               when f.appointment_known and f.appointment_need = 'cancelled'
                    and f.appointment_status = 'booked' then 'superseded'
               when f.deceased then 'deceased'
               when f.inactive then 'inactive_patient'
               when f.consent = false then 'opted_out'
               when f.address is null then 'no_contact'
               when sup.reason is not null then sup.reason
               when f.stale then 'stale'
               when f.paused then 'paused'
               when f.quiet_from is not null and (
                      case when f.quiet_from < f.quiet_until
                           then f.local_time >= f.quiet_from and f.local_time < f.quiet_until
                           else f.local_time >= f.quiet_from or f.local_time < f.quiet_until end) then 'quiet_hours'
               else 'send'
             end as judgement,
             -- The next end of the quiet hours on the recipient's wall clock
             ((now() at time zone f.time_zone)::date + f.quiet_until
               + case when f.local_time < f.quiet_until then interval '0' else interval '1 day' end)
               at time zone f.time_zone as quiet_ends_at
        from facts f
        left join delivery.suppression sup
          on sup.clinic_id = f.clinic_id and sup.channel = f.channel and sup.address = lower(f.address)
    ), in_turn as materialized (
      select j.*,
             -- Of a sender in trouble one at a time
             case when j.in_trouble and j.judgement in ('send', 'reconcile')
                       and not (j.free_to_try and row_number() over (
                         partition by j.sender_id, j.judgement in ('send', 'reconcile')
                         order by j.judgement = 'reconcile', j.id) = 1) then 'paused'
                  else j.judgement end as verdict
        from judged j
    ), tried as (
      update delivery.sender
         set paused_until = now() + make_interval(secs => ${PROBE_SECONDS})
       where id in (select sender_id from in_turn where in_trouble and verdict in ('send', 'reconcile'))
    ), decided as (
      select j.*,
             -- When it may be sent instead; null: now, or never
             case j.verdict
               when 'stale' then now() + interval '2 minutes'
               when 'paused' then greatest(j.paused_until, now() + make_interval(secs => ${AFTER_PROBE_SECONDS}))
               when 'quiet_hours' then case when j.quiet_ends_at < j.expires_at then j.quiet_ends_at end
             end as later
        from in_turn j
    ), leased as (
      update delivery.delivery d
         set status = case
               when v.verdict = 'send' then 'sending'
               when v.status = 'unknown' then 'unknown'
               when v.later is not null then 'scheduled'
               when v.verdict = 'too_late' then 'expired'
               when v.verdict in ('appointment_cancelled', 'appointment_rescheduled', 'superseded') then 'cancelled'
               else 'suppressed'
             end,
             reason = case when v.verdict not in ('send', 'reconcile') and v.later is null then v.verdict end,
             due_at = coalesce(v.later, d.due_at),
             wake_at = case
               when v.verdict in ('send', 'reconcile') then now() + make_interval(secs => ${leaseSeconds}
                 + (hashtext(d.id::text || d.lost_leases) & 1023) / 1023.0 * ${SPREAD_SECONDS})
               when v.status = 'unknown' then v.later
               when v.later is not null then least(v.later, d.expires_at)
             end,
             hints = 0,
             attempt = d.attempt + case when v.verdict = 'send' then 1 else 0 end,
             attempted_at = case when v.verdict = 'send' then now() else d.attempted_at end,
             lease_until = case when v.verdict in ('send', 'reconcile')
                                then now() + make_interval(secs => ${leaseSeconds}) end,
             lost_leases = d.lost_leases + (d.lease_until is not null)::int,
             called_address = case when v.verdict = 'send' then v.address else d.called_address end,
             updated_at = now()
        from decided v
       where d.id = v.id
      returning d.id, v.verdict as task,
                v.in_trouble and v.verdict in ('send', 'reconcile') as probe, d.attempt, d.failures, d.enquiries, d.due_at, d.attempted_at, d.lease_until,
                d.expires_at, d.channel, d.sender_id, v.mode, v.notification_id, v.clinic_id, v.template, v.address,
                v.name, v.locale, v.time_zone, v.data, v.appointment_id, v.starts_at, v.appointment_zone,
                v.appointment_sequence, v.quiet_from::text, v.quiet_until::text
    )
    select * from leased where task in ('send', 'reconcile')
  `;
}
