-- The ledger: every message to a patient is a row here before anything else happens.
create schema delivery;

create table delivery.notification (
  id                  uuid primary key,
  client_id           text not null,
  reference           text not null,
  request_sha256      bytea not null,            -- of the request's canonical body: the same reference with another body is refused
  clinic_id           text not null,
  mode                text not null check (mode in ('live', 'team', 'test')),
  template            text not null,
  strategy            text not null check (strategy in ('all', 'first-success')),
  patient_id          text,
  recipient           jsonb,                     -- name, email, phone as the request gave them; null once erased
  data                jsonb,
  locale              text,
  time_zone           text not null,             -- the recipient's, or the appointment's
  appointment_id      text,
  appointment_version text,
  appointment_need    text not null check (appointment_need in ('booked', 'cancelled', 'any')),
  starts_at           timestamptz,
  appointment_zone    text,
  max_data_age        interval,                  -- null: the request itself is the data
  quiet_from          time,
  quiet_until         time,
  send_at             timestamptz not null,
  expires_at          timestamptz not null,
  created_at          timestamptz not null default now(),
  unique (client_id, reference)
);
create index notification_by_appointment on delivery.notification (appointment_id) where appointment_id is not null;
create index notification_by_clinic on delivery.notification (clinic_id, id);

create table delivery.idempotency_key (
  client_id      text not null,
  key            text not null,
  request_sha256 bytea not null,
  created_at     timestamptz not null default now(),
  primary key (client_id, key)
);

-- One sender is one clinic's way out on one channel. The clinics' file says what it is; this says how it is.
create table delivery.sender (
  id              text primary key,              -- clinic:channel, or test:channel
  rate_per_second real,                          -- null: no limit of ours
  next_slot_at    timestamptz not null default now(),
  paused_until    timestamptz,
  pause_reason    text,
  pauses          integer not null default 0,    -- in a row, since it last worked
  check ((paused_until is null) = (pause_reason is null))
);

create table delivery.delivery (
  id              uuid primary key,
  notification_id uuid not null references delivery.notification on delete cascade,
  channel         text not null check (channel in ('email', 'sms')),
  sender_id       text not null references delivery.sender,
  after           uuid,                          -- waits until this delivery has failed for good (strategy first-success)
  status          text not null default 'scheduled' check (status in (
                    'scheduled', 'queued', 'sending', 'unknown', 'sent', 'delivered', 'temporary_failure',
                    'permanent_failure', 'technical_failure', 'suppressed', 'cancelled', 'expired')),
  reason          text,
  due_at          timestamptz not null,          -- infinity while it waits for `after`
  expires_at      timestamptz not null,
  wake_at         timestamptz,                   -- when the relay looks at the row next, at the latest when it expires; null: never again
  hints           integer not null default 0,
  hinted_at       timestamptz,
  attempt         integer not null default 0,    -- calls to the provider begun
  failures        integer not null default 0,    -- of those, the ones that count against the limit
  enquiries       integer not null default 0,    -- times the provider was asked about the unclear attempt
  attempted_at    timestamptz,
  lease_until     timestamptz,
  provider_id     text,
  provider_code   text,
  updated_at      timestamptz not null default now(),
  unique (notification_id, channel),
  check ((status in ('temporary_failure', 'permanent_failure', 'technical_failure', 'suppressed', 'cancelled',
                     'expired')) = (reason is not null)),
  check ((wake_at is not null) = (status in ('scheduled', 'queued', 'sending', 'unknown')))
);
create index delivery_wake on delivery.delivery (sender_id, wake_at) where wake_at is not null;
create index delivery_queued on delivery.delivery (hinted_at) where status = 'queued';
create index delivery_waiting on delivery.delivery (after) where after is not null and due_at = 'infinity';
create index delivery_by_provider_id on delivery.delivery (provider_id) where provider_id is not null;

-- Append-only: what happened to each delivery, in order.
create table delivery.delivery_event (
  id             bigint generated always as identity primary key,
  delivery_id    uuid not null references delivery.delivery on delete cascade,
  at             timestamptz not null default now(),
  kind           text not null check (kind in ('status', 'receipt')),
  status         text not null,                  -- ours after the change, or the provider's word in a receipt
  reason         text,
  attempt        integer,
  provider_code  text,
  provider_event text                            -- the provider's id and word: a repeated receipt is kept once
);
create index delivery_event_by_delivery on delivery.delivery_event (delivery_id, id);
create unique index delivery_event_once on delivery.delivery_event (delivery_id, provider_event)
  where provider_event is not null;

create table delivery.suppression (
  clinic_id  text not null,
  channel    text not null check (channel in ('email', 'sms')),
  address    text not null,                      -- lower case, or E.164
  reason     text not null check (reason in ('opted_out', 'hard_bounce', 'complaint', 'invalid_address', 'landline', 'operator')),
  source     text not null,
  created_at timestamptz not null default now(),
  primary key (clinic_id, channel, address)
);

-- What a delivery's status means for the one that waits for it (strategy first-success).
create function delivery.fallback_turn(status text, reason text, channel text) returns text language sql immutable as $$
  select case
    when status in ('temporary_failure', 'permanent_failure', 'technical_failure') then 'now'
    when status = 'suppressed' and reason in (
      'opted_out', 'no_consent', 'no_contact', 'invalid_address', 'landline', 'hard_bounce', 'complaint') then 'now'
    when status = 'delivered' then 'never'
    when status = 'sent' and channel = 'email' then 'never'  -- SMTP knows no receipt: sent is its last word
    when status in ('cancelled', 'expired', 'suppressed') then 'never'
  end
$$;

-- History and fallback follow every change of status, whichever statement made it, so that no path can forget them.
create function delivery.after_status_change() returns trigger language plpgsql as $$
begin
  -- A statement that changes no row fires too, and the update below would never end
  if not exists (select from changed) then return null; end if;

  insert into delivery.delivery_event (delivery_id, kind, status, reason, attempt, provider_code)
  select changed.id, 'status', changed.status, changed.reason, changed.attempt, changed.provider_code
    from changed join previous using (id)
   where (changed.status <> previous.status and changed.status <> 'queued')
      or changed.attempt <> previous.attempt;

  update delivery.delivery waiting
     set due_at = case turn.turn when 'now' then now() else waiting.due_at end,
         wake_at = case turn.turn when 'now' then now() end,
         status = case when turn.turn = 'now' then 'scheduled'
                       when turn.status in ('sent', 'delivered') then 'cancelled' else turn.status end,
         reason = case when turn.turn = 'now' then null
                       when turn.status in ('sent', 'delivered') then 'superseded' else turn.reason end,
         updated_at = now()
    from (select changed.id, changed.status, changed.reason,
                 delivery.fallback_turn(changed.status, changed.reason, changed.channel) as turn
            from changed join previous using (id)
           where changed.status <> previous.status) turn
   where waiting.after = turn.id and waiting.due_at = 'infinity' and waiting.status = 'scheduled'
     and turn.turn is not null;
  return null;
end
$$;

create trigger after_status_change after update on delivery.delivery
  referencing old table as previous new table as changed
  for each statement execute function delivery.after_status_change();

-- A notification's status is derived from its deliveries', never stored.
create function delivery.notification_status(statuses text[]) returns text language sql immutable as $$
  select case
    when 'delivered' = any(statuses) then 'delivered'
    when statuses && array['queued', 'sending', 'unknown'] then 'in_progress'
    when 'scheduled' = any(statuses)
      then case when statuses <@ array['scheduled'] then 'scheduled' else 'in_progress' end
    when 'sent' = any(statuses) then 'sent'
    when statuses && array['temporary_failure', 'permanent_failure', 'technical_failure'] then 'failed'
    when 'expired' = any(statuses) then 'expired'
    when 'suppressed' = any(statuses) then 'suppressed'
    else 'cancelled'
  end
$$;
