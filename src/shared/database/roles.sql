-- What each service may do, and no more. Applied at every migration. A login user of a service is a member of its role.
-- A user who may not make roles (a database on loan) keeps its own rights for all services.
do $$
declare
  role_name text;
begin
  foreach role_name in array array[
    'carillon_etl', 'carillon_appointment_service', 'carillon_notification_dispatcher', 'carillon_worker'
  ] loop
    if not exists (select from pg_roles where rolname = role_name) then
      begin
        execute format('create role %I nologin', role_name);
      exception
        when duplicate_object or unique_violation then null; -- Roles are shared: another database's migration made it
      end;
    end if;
  end loop;

  grant usage on schema clinic to carillon_etl, carillon_appointment_service, carillon_notification_dispatcher, carillon_worker;
  grant usage on schema delivery to carillon_appointment_service, carillon_notification_dispatcher, carillon_worker;

  grant select, insert, update on clinic.patient, clinic.appointment, clinic.sync_cursor, clinic.unusable_resource to carillon_etl;
  grant delete on clinic.unusable_resource to carillon_etl;

  grant select on all tables in schema clinic to carillon_appointment_service;
  grant insert, update on clinic.reminder, clinic.reminder_plan, clinic.preference to carillon_appointment_service;
  grant update (planned) on clinic.appointment to carillon_appointment_service;
  grant select on all tables in schema delivery to carillon_appointment_service;

  grant select on clinic.patient, clinic.appointment, clinic.preference, clinic.sync_cursor to carillon_notification_dispatcher, carillon_worker;
  grant insert, update on clinic.preference to carillon_notification_dispatcher;
  grant select, insert, update on delivery.notification, delivery.delivery, delivery.sender, delivery.suppression,
    delivery.idempotency_key to carillon_notification_dispatcher;
  grant delete on delivery.suppression, delivery.idempotency_key to carillon_notification_dispatcher;
  grant select, insert on delivery.delivery_event to carillon_notification_dispatcher, carillon_worker;

  grant select on delivery.notification to carillon_worker;
  grant select, update on delivery.delivery, delivery.sender to carillon_worker;
  grant select, insert on delivery.suppression to carillon_worker;
exception
  when insufficient_privilege then
    raise warning 'roles were not made: % may not', current_user;
end
$$;
