import type { Db } from "./connect.ts";

/** The FHIR resource types that are read, each with its cursor. */
export type SyncedResource = "Appointment" | "Patient";

export type SyncCursor = {
  resource: SyncedResource;
  /** Everything the server changed before this has been read; null while that cannot be said. */
  cursorAt: Date | null;
  /** The digest of the clinics' places that the import was made with. */
  places: string | null;
};

export async function readCursors(db: Db): Promise<SyncCursor[]> {
  return await db<SyncCursor[]>`select resource, cursor_at, places from clinic.sync_cursor`;
}

/** Records that an import has ended well. A cursor never goes back: another import may have ended meanwhile. */
export async function moveCursors(db: Db, cursors: readonly SyncCursor[]): Promise<void> {
  await db`
    insert into clinic.sync_cursor as c (resource, cursor_at, places, succeeded_at)
    select resource, "cursorAt", places, now()
      from jsonb_to_recordset(${db.json(cursors as never)}) as t(
             resource text, "cursorAt" timestamptz, places text)
     order by resource
        on conflict (resource) do update
       set cursor_at = greatest(c.cursor_at, excluded.cursor_at),
           places = excluded.places,
           succeeded_at = now()
  `;
}
