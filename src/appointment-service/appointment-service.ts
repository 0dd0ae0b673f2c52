import { Hono } from "hono";
import type postgres from "postgres";
import type { Clinic } from "../shared/domain/clinic.ts";
import type { Log } from "../shared/runtime/log.ts";
import { AppointmentsQuery, readAppointmentPage, ResourceId } from "./appointment-page.ts";
import { readTimeline } from "./appointment-timeline.ts";
import { createDispatcherClient, type DispatcherOptions } from "./dispatcher-client.ts";
import { createErrorHandler, sendProblem, toFaults } from "./problem.ts";
import { createReminderMetrics } from "./reminder-metrics.ts";
import { requireToken } from "./require-token.ts";
import { runReminders } from "./run-reminders.ts";

export type AppointmentServiceOptions = {
  sql: postgres.Sql;
  clinics: ReadonlyMap<string, Clinic>;
  dispatcher: DispatcherOptions;
  /** The bearer token of the Scheduler and of operators. */
  token: string;
  log: Log;
  /** When it aborts, a run ends after the batch in hand. */
  signal?: AbortSignal;
  /** A run takes no more batches after this long; the Scheduler comes every minute. */
  runBudgetMs?: number;
  clock?: () => number;
};

const RUN_BUDGET_MS = 45_000;

export function createAppointmentService(
  {
    sql,
    clinics,
    dispatcher,
    token,
    log,
    signal = new AbortController().signal,
    runBudgetMs = RUN_BUDGET_MS,
    clock = () => performance.now(),
  }: AppointmentServiceOptions,
): { routes: Hono } {
  const submit = createDispatcherClient(dispatcher);
  const metrics = createReminderMetrics();
  const runDeps = { sql, clinics, submit, metrics, log, clock, signal };
  const routes = new Hono();
  routes.use("/v1/*", requireToken(token));

  routes.post("/v1/reminder-runs", async (c) => {
    const run = await runReminders(runDeps, runBudgetMs);
    switch (run.kind) {
      case "done":
        log.info("reminder run", run.counts);
        return c.json(run.counts);
      case "dispatcher_unavailable":
        return sendProblem(c, run.kind);
      case "dispatcher_refused":
        return sendProblem(c, run.kind, {
          detail: `It answered ${run.status}: check DISPATCHER_URL and DISPATCHER_API_KEY`,
        });
    }
  });

  routes.get("/v1/appointments", async (c) => {
    const query = AppointmentsQuery.safeParse(c.req.query());
    if (!query.success) {
      return sendProblem(c, "invalid_request", { errors: toFaults(query.error) });
    }
    return c.json(await readAppointmentPage(sql, { query: query.data, now: new Date() }));
  });

  routes.get("/v1/appointments/:id/timeline", async (c) => {
    const id = ResourceId.safeParse(c.req.param("id"));
    const timeline = id.success ? await readTimeline(sql, id.data) : null;
    return timeline === null ? sendProblem(c, "not_found") : c.json(timeline);
  });

  routes.notFound((c) => sendProblem(c, "not_found"));
  routes.onError(createErrorHandler(log));
  return { routes };
}
