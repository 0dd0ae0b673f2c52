import type { Channel } from "../domain/delivery.ts";
import type { Db } from "./connect.ts";

/** A delivery that a worker should look at now. */
export type DueDelivery = { id: string; channel: Channel };

/** A hint that brought no lease is given again after this long, doubled each time up to 64 times. */
const REHINT_SECONDS = 60;
const LOST_HINT_SECONDS = 15;

/** A sender in trouble tries one delivery at a time. A few more are hinted, for some may not be sendable. */
const HINTS_IN_TROUBLE = 5;

/** A delivery whose workers die so often is what they die of, or near enough: the rest is for a person. */
const LOST_LEASES_MAX = 5;

/**
 * Takes up to `limit` rows of `channel` whose time has come, and returns those a worker should be told of.
 *
 * One statement does what time does to a row: scheduled → queued, an expired lease → unknown (the call may have left)
 * or, after too many, technical_failure; past its usefulness → expired. Any number of relays may run at once. Senders
 * take turns, each with up to `perSender` rows: a clinic with a hundred thousand messages does not stand before one with
 * three.
 */
export async function claimDueHints(
  db: Db,
  { channel, limit, perSender }: { channel: Channel; limit: number; perSender: number },
): Promise<DueDelivery[]> {
  const rows = await db<(DueDelivery & { status: string })[]>`
    with due as (
      select d.id, d.given_up
        from delivery.sender s
       cross join lateral (
         select id, wake_at, lease_until is not null and lost_leases + 1 >= ${LOST_LEASES_MAX} as given_up
           from delivery.delivery
          where sender_id = s.id and wake_at <= now()
            and (s.paused_until is null or s.paused_until <= now() or expires_at <= now())
          order by wake_at
          limit case when s.in_trouble and s.paused_until <= now() then ${HINTS_IN_TROUBLE} else ${perSender}::int end
            for update skip locked
       ) d
       where s.id like ${`%:${channel}`}
       order by row_number() over (partition by s.id order by d.wake_at), d.wake_at
       limit ${limit}
    )
    update delivery.delivery d
       set status = case
             when d.status in ('scheduled', 'queued') and d.expires_at <= now() then 'expired'
             when due.given_up then 'technical_failure'
             when d.status = 'scheduled' then 'queued'
             when d.status = 'sending' then 'unknown'
             else d.status
           end,
           reason = case
             when d.status in ('scheduled', 'queued') and d.expires_at <= now() then 'too_late'
             when due.given_up then 'ambiguous_unresolved'
           end,
           due_at = case when d.status = 'sending' then now() else d.due_at end,
           lease_until = null,
           lost_leases = d.lost_leases + (d.lease_until is not null)::int,
           called_address = case when not due.given_up then d.called_address end,
           hints = d.hints + 1,
           hinted_at = now(),
           wake_at = case
             when d.status in ('scheduled', 'queued') and d.expires_at <= now() then null
             when due.given_up then null
             else least(now() + make_interval(secs => ${REHINT_SECONDS} * 2 ^ least(d.hints, 6)),
                        case when d.status in ('scheduled', 'queued') then d.expires_at end)
           end,
           updated_at = now()
      from due
     where d.id = due.id
    returning d.id, d.channel, d.status
  `;
  return rows.filter(({ status }) => status === "queued" || status === "unknown")
    .map(({ id, channel }) => ({ id, channel }));
}

/**
 * Gives back hints that the queue did not take: the relay tries them again after `pauseSeconds`. They were never given,
 * so they do not count: each one that does makes the next wait longer.
 */
export async function unmarkHinted(
  db: Db,
  { ids, pauseSeconds }: { ids: readonly string[]; pauseSeconds: number },
): Promise<void> {
  await db`
    update delivery.delivery
       set status = case when status = 'queued' then 'scheduled' else status end,
           hints = greatest(hints - 1, 0),
           wake_at = least(now() + make_interval(secs => ${pauseSeconds}),
                           case when status = 'queued' then expires_at end),
           updated_at = now()
     where id = any(${ids as string[]}::uuid[]) and status in ('queued', 'unknown') and lease_until is null
  `;
}

/**
 * Makes the relay hint again what it hinted a while ago, when of the hints of `channel` only `waiting` are in the queue.
 * Returns how many.
 *
 * A queue hands out its oldest first, so what waits in it is what was hinted last; what was hinted before is lost, or
 * in a worker's hands, where a second hint does no harm.
 */
export async function rehintLost(
  db: Db,
  { channel, waiting = 0, limit }: { channel: Channel; waiting?: number; limit: number },
): Promise<number> {
  const { count } = await db`
    with gone as materialized (
      select id
        from delivery.delivery
       where status = 'queued' and channel = ${channel}
       order by hinted_at desc
      offset ${waiting}
    )
    update delivery.delivery
       set wake_at = now(), updated_at = now()
     where id in (
       select d.id
         from delivery.delivery d join gone using (id)
        where d.status = 'queued'
          and d.hinted_at < now() - make_interval(secs => ${LOST_HINT_SECONDS} * 2 ^ least(d.hints - 1, 4))
          and d.wake_at > now()
        order by d.hinted_at
        limit ${limit}
          for update of d skip locked
     )
  `;
  return count;
}
