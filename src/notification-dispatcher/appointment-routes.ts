import { Hono } from "hono";
import type postgres from "postgres";
import { z } from "zod";
import { cancelAppointmentNotifications } from "../shared/database/cancellations.ts";
import { type ClientEnv, visibleClinic } from "./clients.ts";
import { readJson } from "./json-body.ts";
import { Appointment, REQUEST_BYTES_MAX } from "./notification-request.ts";
import { checkInput, sendProblem } from "./problem.ts";

export const CancelRequest = z.strictObject({
  version: Appointment.shape.version.meta({
    description:
      "The appointment's version now: only messages about an earlier one are withdrawn. Left out: all",
  }),
}).meta({ examples: [{ version: "4" }] });

export function createAppointmentRoutes({ sql }: { sql: postgres.Sql }): Hono<ClientEnv> {
  const app = new Hono<ClientEnv>();

  app.post("/v1/appointments/:id/cancel-notifications", async (c) => {
    const body = await readJson(c, { maxBytes: REQUEST_BYTES_MAX, optional: true });
    if (body.kind === "refused") return sendProblem(c, body.refusal);
    const request = checkInput(CancelRequest, body.value);
    if (request.kind === "invalid") {
      return sendProblem(c, { code: "invalid_request", errors: request.errors });
    }
    const appointmentId = Appointment.shape.id.safeParse(c.req.param("id"));
    if (!appointmentId.success) return sendProblem(c, { code: "not_found" });

    return c.json(
      await cancelAppointmentNotifications(sql, {
        appointmentId: appointmentId.data,
        clinicId: visibleClinic(c.get("client")),
        version: request.data.version ?? null,
      }),
    );
  });

  return app;
}
