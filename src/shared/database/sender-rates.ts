import type { Channel } from "../domain/delivery.ts";
import type { SenderUnusable } from "../domain/outcome.ts";
import type { Db } from "./connect.ts";

const FIRST_PAUSE_SECONDS = 30;
const LONGEST_PAUSE_SECONDS = 15 * 60;

/** A carrier's refusal of a sender comes minutes after the provider took the message. */
const CONVALESCENCE_SECONDS = 10 * 60;

/** Rows looked at to guess how long a sender's backlog takes. */
const BACKLOG_MAX = 10_000;

/** Those put back come a little too soon rather than too late: a turn that nobody takes is lost. */
const EAGERNESS = 0.8;

export type SenderState = {
  /** Some sender of the channel has a rate. */
  rated: boolean;
  /** Senders whose last pause was a while ago: a success now ends their troubles. */
  convalescent: string[];
};

export async function readSenderState(db: Db, channel: Channel): Promise<SenderState> {
  const [state] = await db<SenderState[]>`
    select count(rate_per_second) > 0 as rated,
           coalesce(array_agg(id) filter (
             where paused_until < now() - make_interval(secs => ${CONVALESCENCE_SECONDS})), '{}') as convalescent
      from delivery.sender
     where id like ${`%:${channel}`}
  `;
  return state ?? { rated: false, convalescent: [] };
}

/** `waitMs`: how long to wait before sending. Null: the delivery was put back, and comes again at a better time. */
export type Slot = { id: string; waitMs: number | null };

/**
 * Reserves a time to send for those of `ids` whose sender has a rate; the others are not in the result.
 *
 * The rate is kept by all workers together, for all reserve from the sender's row (the generic cell rate algorithm: no
 * saving up, so no bursts). At most `slots` are given, none later than `maxWaitSeconds`: whoever waits holds a hint that
 * another sender could use. The rest are put back, spread over the time the sender needs for what is before it.
 */
export async function reserveSlots(
  db: Db,
  { ids, slots, maxWaitSeconds }: { ids: readonly string[]; slots: number; maxWaitSeconds: number },
): Promise<Slot[]> {
  return await db<Slot[]>`
    with wanted as materialized (
      select d.id, d.sender_id,
             row_number() over (order by d.due_at, d.id) as place,
             row_number() over (partition by d.sender_id order by d.due_at, d.id) - 1 as place_of_sender
        from delivery.delivery d
        join delivery.sender s on s.id = d.sender_id
       where d.id = any(${ids as string[]}::uuid[])
         and d.status in ('scheduled', 'queued') and d.due_at <= now() and d.expires_at > now()
         and s.rate_per_second is not null and (s.paused_until is null or s.paused_until <= now())
    ), locked as materialized (
      -- Always in the same order, or two batches would wait for each other
      select id, rate_per_second as rate, greatest(next_slot_at, now()) as next_slot_at
        from delivery.sender
       where id in (select sender_id from wanted)
       order by id
         for update
    ), timed as materialized (
      select w.id, w.sender_id, w.place, l.rate, l.next_slot_at + make_interval(secs => w.place_of_sender / l.rate) as slot_at
        from wanted w join locked l on l.id = w.sender_id
    ), given as materialized (
      select *, place <= ${slots} and slot_at <= now() + make_interval(secs => ${maxWaitSeconds}) as given from timed
    ), reserved as (
      update delivery.sender s
         set next_slot_at = g.last_slot_at + make_interval(secs => 1 / s.rate_per_second)
        from (select sender_id, max(slot_at) as last_slot_at from given where given group by sender_id) g
       where s.id = g.sender_id
    ), crowded as (
      select g.sender_id, min(g.slot_at) as from_at,
             (select count(*) from (
                select from delivery.delivery
                 where sender_id = g.sender_id and wake_at <= now() + interval '1 hour'
                 limit ${BACKLOG_MAX}) waiting) / g.rate as backlog_seconds
        from given g
       where not g.given
       group by g.sender_id, g.rate
    ), again as materialized (
      select g.id, c.from_at + make_interval(secs => random() * ${EAGERNESS} * c.backlog_seconds) as due_at
        from given g join crowded c on c.sender_id = g.sender_id
       where not g.given
    ), put_back as (
      update delivery.delivery d
         set status = 'scheduled', due_at = a.due_at, wake_at = least(a.due_at, d.expires_at), updated_at = now()
        from again a
       where d.id = a.id and d.status in ('scheduled', 'queued')
    )
    select id, case when given then greatest(extract(epoch from slot_at - now()) * 1000, 0)::float8 end as wait_ms
      from given
  `;
}

/**
 * Holds back everything of a sender for 30 s, doubled each time in a row up to 15 min. Of many deliveries that find it
 * unusable at once only the first counts, and of those that follow only the one that tried for all (`probe`).
 */
export async function pauseSender(
  db: Db,
  { senderId, reason, probe = false }: {
    senderId: string;
    reason: SenderUnusable["reason"];
    probe?: boolean;
  },
): Promise<void> {
  await db`
    update delivery.sender
       set paused_until = now() + make_interval(
             secs => least(${FIRST_PAUSE_SECONDS} * 2 ^ least(pauses, 10), ${LONGEST_PAUSE_SECONDS})),
           pause_reason = ${reason}, pauses = pauses + 1, in_trouble = true
     where id = ${senderId} and (paused_until is null or paused_until <= now() or ${probe})
  `;
}

/** Lets the next delivery of a sender in trouble try after so many seconds: the last one showed nothing. */
export async function tryNext(
  db: Db,
  { senderId, afterSeconds }: { senderId: string; afterSeconds: number },
): Promise<void> {
  await db`
    update delivery.sender set paused_until = now() + make_interval(secs => ${afterSeconds})
     where id = ${senderId} and in_trouble and paused_until > now()
  `;
}

export async function countSendersInTrouble(db: Db): Promise<number> {
  const [row] = await db<[{ count: number }]>`
    select count(*)::int as count from delivery.sender where in_trouble
  `;
  return row.count;
}

/** Lets all that waits go: the one that tried has left. */
export async function endTrouble(db: Db, senderId: string): Promise<void> {
  await db`
    update delivery.sender set in_trouble = false, paused_until = least(paused_until, now())
     where id = ${senderId} and in_trouble
  `;
}

/** Forgets the pauses of a sender that has worked, unless the last was a moment ago. */
export async function forgetPauses(db: Db, senderId: string): Promise<void> {
  await db`
    update delivery.sender set paused_until = null, pause_reason = null, pauses = 0, in_trouble = false
     where id = ${senderId} and paused_until < now() - make_interval(secs => ${CONVALESCENCE_SECONDS})
  `;
}
