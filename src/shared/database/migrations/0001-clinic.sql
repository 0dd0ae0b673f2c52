-- What the clinic's own system says, and the reminders planned from it.
create schema clinic;

create table clinic.patient (
  id                text primary key,
  given_name        text,
  email             text,
  phone             text,                        -- E.164
  locale            text,                        -- BCP 47, the patient's preferred language
  active            boolean not null default true,
  deceased          boolean not null default false,
  merged_into       text,                        -- the patient record that replaced this one
  version           text,                        -- FHIR meta.versionId
  source_updated_at timestamptz,                 -- FHIR meta.lastUpdated
  synced_at         timestamptz not null default now()
);

create table clinic.appointment (
  id                text primary key,
  clinic_id         text not null,
  patient_id        text not null,
  status            text not null check (status in (
                      'proposed', 'pending', 'booked', 'arrived', 'fulfilled', 'cancelled',
                      'noshow', 'entered-in-error', 'checked-in', 'waitlist')),
  starts_at         timestamptz,                 -- null while proposed or on a waiting list
  time_zone         text not null,               -- IANA
  practitioner      text,
  location          text,
  modality          text not null default 'in-person' check (modality in ('in-person', 'remote')),
  confirmed         boolean not null default false,  -- the patient said they will come
  sequence          integer not null default 0,  -- raised each time it moves, as iCalendar's SEQUENCE (RFC 5545 §3.8.7.4)
  version           text,
  source_updated_at timestamptz,
  synced_at         timestamptz not null default now(),
  changed_at        timestamptz not null default now(),  -- when we first saw what the row now says
  planned           boolean not null default false,      -- the reminders below are those of what the row now says
  check (starts_at is not null or status in ('proposed', 'pending', 'waitlist', 'cancelled', 'entered-in-error'))
);
create index appointment_unplanned on clinic.appointment (changed_at) where not planned;
create index appointment_by_clinic on clinic.appointment (clinic_id, starts_at);
create index appointment_by_patient on clinic.appointment (patient_id);

create table clinic.reminder (
  id              uuid primary key,
  appointment_id  text not null references clinic.appointment on delete cascade,
  sequence        integer not null,
  stage           text not null,                 -- the stage's `before`, as P1D
  status          text not null default 'planned' check (status in (
                    'planned', 'claimed', 'forwarded', 'skipped', 'cancelled', 'failed')),
  reason          text,
  due_at          timestamptz not null,
  expires_at      timestamptz not null,
  claimed_until   timestamptz,
  notification_id uuid,
  updated_at      timestamptz not null default now(),
  unique (appointment_id, sequence, stage),      -- a stage is told once for each time an appointment has had
  check ((status in ('skipped', 'cancelled', 'failed')) = (reason is not null))
);
create index reminder_due on clinic.reminder (due_at) where status in ('planned', 'claimed');

-- The reminder plan each clinic's appointments were last planned with: a changed plan plans them again.
create table clinic.reminder_plan (
  clinic_id  text primary key,
  plan       text not null,
  changed_at timestamptz not null default now()
);

create table clinic.preference (
  clinic_id   text not null,
  patient_id  text not null,
  email       boolean,                           -- null: no choice recorded
  sms         boolean,
  locale      text,
  quiet_from  time,
  quiet_until time,
  source      text not null,
  updated_at  timestamptz not null default now(),
  primary key (clinic_id, patient_id)
);

create table clinic.sync_cursor (
  resource     text primary key,                 -- FHIR resource type
  cursor_at    timestamptz,                      -- everything the server changed before this has been read
  succeeded_at timestamptz,                      -- when the last whole pass ended
  places       text                              -- digest of what the import took from clinics.yaml: all is read again when it changes
);

-- Resources that cannot be used, with the reason. No content: ids and reasons only.
create table clinic.unusable_resource (
  resource   text not null,
  id         text not null,
  reason     text not null,
  first_seen timestamptz not null default now(),
  last_seen  timestamptz not null default now(),
  primary key (resource, id)
);
