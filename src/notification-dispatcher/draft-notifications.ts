import { v7 } from "uuid";
import type { Db } from "../shared/database/connect.ts";
import { findKnownPatients, type KnownPatient } from "../shared/database/recipients.ts";
import type { Templates } from "../shared/templates/templates.ts";
import {
  findForeignRecipients,
  type NotificationPlan,
  planNotification,
} from "./plan-notification.ts";
import type { Refused, Submission } from "./read-submission.ts";
import { findFaults } from "./request-faults.ts";

export type Draft = { kind: "planned"; plan: NotificationPlan } | Refused;

/** Checks each submission against the world, and plans what may be done. */
export async function draftNotifications(
  { sql, templates, timeZones, now, createId = () => v7() }: {
    sql: Db;
    templates: Templates;
    timeZones: () => Promise<ReadonlySet<string>>;
    now: () => Date;
    createId?: (() => string) | undefined;
  },
  submissions: readonly Submission[],
): Promise<Draft[]> {
  const zones = await timeZones();
  const patients = await indexPatients(sql, submissions);
  const moment = now();
  return submissions.map(({ client, clinic, request, sha256 }): Draft => {
    const patient = patients.get(`${clinic.id} ${request.recipient.patientId}`);
    const circumstances = {
      clinic,
      templates,
      timeZones: zones,
      patientKnown: patient !== undefined,
      now: moment,
    };
    const errors = findFaults(request, circumstances);
    if (errors.length > 0) return { kind: "refused", refusal: { code: "invalid_request", errors } };
    const foreign = findForeignRecipients(request, { client, clinic });
    if (foreign.length > 0) {
      return { kind: "refused", refusal: { code: "recipient_not_allowed", errors: foreign } };
    }
    const preferredQuiet = patient?.quiet ?? null;
    const options = { ...circumstances, client, sha256, preferredQuiet, createId };
    return { kind: "planned", plan: planNotification(request, options) };
  });
}

async function indexPatients(
  sql: Db,
  submissions: readonly Submission[],
): Promise<Map<string, KnownPatient>> {
  const wanted = submissions.flatMap(({ clinic, request: { recipient: { patientId } } }) =>
    patientId === undefined ? [] : [{ clinicId: clinic.id, patientId }]
  );
  const known = await findKnownPatients(sql, wanted);
  return new Map(known.map((patient) => [`${patient.clinicId} ${patient.patientId}`, patient]));
}
