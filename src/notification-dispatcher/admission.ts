import type { MiddlewareHandler } from "hono";
import type { ClientEnv } from "./clients.ts";
import { sendProblem } from "./problem.ts";

export type AdmissionLimits = {
  /** Requests under way at once in this process. */
  total: number;
  /** Of those, how many may be one client's: the others' share is never taken. */
  perClient: number;
};

/**
 * Turns requests away instead of letting them queue: 429 to a client that holds its share, 503 when all is taken.
 *
 * What bounds the requests bounds the memory of their bodies and the wait for a database connection.
 */
export function createAdmission(
  { total, perClient }: AdmissionLimits,
): MiddlewareHandler<ClientEnv> {
  const underWay = new Map<string, number>();
  let all = 0;

  return async (c, next) => {
    const { id } = c.get("client");
    const own = underWay.get(id) ?? 0;
    if (own >= perClient) return sendProblem(c, { code: "too_many_requests" });
    if (all >= total) return sendProblem(c, { code: "overloaded" });

    underWay.set(id, own + 1);
    all += 1;
    try {
      return await next();
    } finally {
      underWay.set(id, (underWay.get(id) ?? 1) - 1);
      all -= 1;
    }
  };
}
