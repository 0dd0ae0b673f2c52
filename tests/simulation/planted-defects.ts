/**
 * A mistake in one statement, as somebody might make it. The simulation must find each: else it proves nothing when it
 * finds none.
 */
export type PlantedDefect = {
  name: string;
  /** Parts of the statements' texts, and what stands there instead. */
  replace: readonly (readonly [string, string])[];
};

export const PLANTED_DEFECTS: readonly PlantedDefect[] = [
  {
    name: "a result counts for any attempt",
    replace: [["where d.id = t.id and d.attempt = t.attempt", "where d.id = t.id"]],
  },
  {
    name: "a lease that ended means that nothing was sent",
    replace: [[
      "when d.status = 'sending' then 'unknown'",
      "when d.status = 'sending' then 'queued'",
    ]],
  },
  {
    name: "the lease takes what is being sent",
    replace: [[
      "and status in ('scheduled', 'queued', 'unknown')\n         and due_at",
      "and status in ('scheduled', 'queued', 'unknown', 'sending')\n         and due_at",
    ]],
  },
  {
    name: "the lease does not look at the expiry",
    replace: [["when f.expires_at <= now() then 'too_late'", "when false then 'too_late'"]],
  },
  {
    name: "the lease does not look at the appointment's time",
    replace: [["and f.appointment_starts_at is distinct from f.starts_at", "and false"]],
  },
  {
    name: "the lease does not look at the appointment's status",
    replace: [[
      "and f.appointment_status <> 'booked' then 'appointment_cancelled'",
      "and false then 'x'",
    ]],
  },
  {
    name: "the lease does not look at the stop list",
    replace: [["when sup.reason is not null then sup.reason", "when false then 'x'"]],
  },
  {
    name: "the lease does not look at the age of the data",
    replace: [["when f.stale then 'stale'", "when false then 'stale'"]],
  },
  {
    name: "the lease takes quiet hours to end at midnight",
    replace: [[
      "else f.local_time >= f.quiet_from or f.local_time < f.quiet_until",
      "else f.local_time >= f.quiet_from",
    ]],
  },
  {
    name: "a hint is given once only",
    replace: [[
      "else least(now() + make_interval(secs => ",
      "else least(interval '1 year' + now() + make_interval(secs => ",
    ]],
  },
  {
    name: "the relay forgets what was accepted",
    replace: [[
      "where sender_id = s.id and wake_at <= now()",
      "where sender_id = s.id and wake_at <= now() and hints > 0",
    ]],
  },
  {
    name: "a result counts whatever became known meanwhile",
    replace: [[
      "and (d.status in ('sending', 'unknown')",
      "and (true or d.status in ('sending', 'unknown')",
    ]],
  },
  {
    name: "a repeat is compared with another request",
    replace: [[
      "encode(n.request_sha256, 'hex') as request_sha256",
      "(select encode(request_sha256, 'hex') from delivery.notification order by id limit 1) as request_sha256",
    ]],
  },
  {
    name: "withdrawing looks at no lease",
    replace: [[
      "and d.status in ('scheduled', 'queued') and d.lease_until is null",
      "and d.status in ('scheduled', 'queued', 'sending')",
    ]],
  },
  {
    name: "an import may go back in time",
    replace: [[".source_updated_at\n      then ", ".source_updated_at\n      then true or "]],
  },
];

/** The text of a statement, or of a part of one, with the mistake in it. */
export function plant(
  { replace }: PlantedDefect,
  strings: readonly string[],
): readonly string[] & { raw: readonly string[] } {
  const texts = strings.map((text) =>
    replace.reduce((changed, [right, wrong]) => changed.replaceAll(right, wrong), text)
  );
  return Object.assign(texts, { raw: texts });
}
