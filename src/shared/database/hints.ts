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
             else now() + make_interval(secs => ${REHINT_SECONDS} * 2 ^ least(d.hints, 6))
           end,
           updated_at = now()
      from due
     where d.id = due.id
    returning d.id, d.channel, d.status
  `;
  return rows.filter(({ status }) => status === "queued" || status === "unknown")
    .map(({ id, channel }) => ({ id, channel }));
}

/** Gives back hints that the queue did not take: the relay tries them again after `pauseSeconds`. */
export async function unmarkHinted(
  db: Db,
  { ids, pauseSeconds }: { ids: readonly string[]; pauseSeconds: number },
): Promise<void> {
  await db`
    update delivery.delivery
       set status = case when status = 'queued' then 'scheduled' else status end,
           wake_at = now() + make_interval(secs => ${pauseSeconds}), updated_at = now()
     where id = any(${ids as string[]}::uuid[]) and status in ('queued', 'unknown') and lease_until is null
  `;
}

/**
 * Makes the relay hint again what it hinted a while ago; to be called when the queue of `channel` has nothing ready,
 * for then those hints are lost (or in a worker's hands, where a second hint does no harm). Returns how many.
 */
export async function rehintLost(
  db: Db,
  { channel, limit }: { channel: Channel; limit: number },
): Promise<number> {
  const { count } = await db`
    update delivery.delivery
       set wake_at = now(), updated_at = now()
     where id in (
       select id
         from delivery.delivery
        where status = 'queued' and channel = ${channel}
          and hinted_at < now() - make_interval(secs => ${LOST_HINT_SECONDS} * 2 ^ least(hints - 1, 4))
          and wake_at > now()
        order by hinted_at
        limit ${limit}
          for update skip locked
     )
  `;
  return count;
}
