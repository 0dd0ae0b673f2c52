import type { Clinic } from "../shared/domain/clinic.ts";
import type { Templates } from "../shared/templates/templates.ts";
import { chooseClinic, type Client } from "./clients.ts";
import { currentTraceparent } from "./instruments.ts";
import { hashCanonically, NotificationRequest, salvage } from "./notification-request.ts";
import { checkInput, type Refusal } from "./problem.ts";
import { findFaults } from "./request-faults.ts";

/** A request of valid shape, and whose it is. */
export type Submission = {
  kind: "submitted";
  client: Client;
  clinic: Clinic;
  request: NotificationRequest;
  sha256: string;
  traceparent: string | undefined;
};
export type Refused = { kind: "refused"; refusal: Refusal };

/** Checks the shape of one request. When it is wrong, all that can be told about the rest is told too. */
export function readSubmission(
  body: unknown,
  client: Client,
  { clinics, templates, timeZones, now }: {
    clinics: ReadonlyMap<string, Clinic>;
    templates: Templates;
    timeZones: ReadonlySet<string>;
    now: () => Date;
  },
): Submission | Refused {
  const checked = checkInput(NotificationRequest, body);
  const parts = checked.kind === "valid" ? checked.data : salvage(body);
  const choice = chooseClinic(client, parts.clinic, clinics);
  if (checked.kind === "valid") {
    if (choice.kind === "refused") return choice;
    const request = checked.data;
    const sha256 = hashCanonically(request);
    const traceparent = currentTraceparent();
    return { kind: "submitted", client, clinic: choice.clinic, request, sha256, traceparent };
  }
  const patientKnown = parts.recipient?.patientId !== undefined; // A refusal is not worth a query
  const more = choice.kind === "refused"
    ? choice.refusal.errors ?? []
    : findFaults(parts, { clinic: choice.clinic, templates, timeZones, patientKnown, now: now() });
  const errors = [...checked.errors, ...more];
  return { kind: "refused", refusal: { code: "invalid_request", errors } };
}
