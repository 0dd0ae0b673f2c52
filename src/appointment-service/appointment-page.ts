import { z } from "zod";
import { listAppointments, type ListedAppointment } from "../shared/database/appointment-list.ts";
import type { Db } from "../shared/database/connect.ts";
import { APPOINTMENT_STATUSES } from "../shared/domain/appointment.ts";

const PAGE_MAX = 100;
/** PostgreSQL has no text with a NUL in it. */
export const ResourceId = z.string().regex(/^\P{Cc}{1,128}$/u, "expected an id");
const Time = z.iso.datetime({
  offset: true,
  error: "expected a time such as 2026-12-03T09:30:00Z",
}).transform((text) => new Date(text)).refine(
  (time) => time.getUTCFullYear() >= 1900,
  "expected a time after 1900",
);

export const AppointmentsQuery = z.strictObject({
  clinic: ResourceId,
  from: Time.optional(),
  to: Time.optional(),
  status: z.enum(APPOINTMENT_STATUSES, `expected one of ${APPOINTMENT_STATUSES.join(", ")}`)
    .optional(),
  cursor: z.string().max(300).transform((text, context) => {
    const cursor = parseCursor(text);
    if (cursor !== null) return cursor;
    context.addIssue({ code: "custom", message: "expected the nextCursor of the page before" });
    return z.NEVER;
  }).optional(),
});

export type AppointmentPage = {
  appointments: Omit<ListedAppointment, "position">[];
  /** Null on the last page. */
  nextCursor: string | null;
};

/** The clinic's appointments from `from` (now, when left out), in the order of their time. */
export async function readAppointmentPage(
  db: Db,
  { query, now }: { query: z.infer<typeof AppointmentsQuery>; now: Date },
): Promise<AppointmentPage> {
  const { clinic, from = now, to = null, status = null, cursor = null } = query;
  const rows = await listAppointments(db, {
    clinicId: clinic,
    from,
    to,
    status,
    after: cursor,
    limit: PAGE_MAX + 1, // One more tells whether there is a next page
  });
  const page = rows.slice(0, PAGE_MAX);
  const last = rows.length > PAGE_MAX ? page.at(-1) : undefined;
  return {
    appointments: page.map(({ position: _, ...appointment }) => appointment),
    nextCursor: last === undefined ? null : formatCursor(last),
  };
}

const Cursor = z.tuple([z.string(), ResourceId]);

function formatCursor({ position, id }: { position: string; id: string }): string {
  return Buffer.from(JSON.stringify([position, id])).toString("base64url");
}

function parseCursor(text: string): { position: string; id: string } | null {
  try {
    const [position, id] = Cursor.parse(JSON.parse(Buffer.from(text, "base64url").toString()));
    Temporal.Instant.from(position); // Throws on what is not a time
    return { position, id };
  } catch {
    return null; // Not a cursor of ours, whatever it is
  }
}
