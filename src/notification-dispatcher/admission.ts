import type { MiddlewareHandler } from "hono";
import type { ClientEnv } from "./clients.ts";
import { sendProblem } from "./problem.ts";

export type AdmissionLimits = {
  /** Requests under way at once in this process. */
  total: number;
  /** Of those, how many may be one client's: the others' share is never taken. */
  perClient: number;
  /** A request that takes longer is answered 503. Whether it is done all the same, a repeat will tell. */
  answerMaxMs?: number;
};

const ANSWER_MAX_MS = 5_000;

/**
 * Turns requests away instead of letting them queue: 429 to a client that holds its share, 503 when all is taken.
 *
 * What bounds the requests bounds the memory of their bodies and the wait for a database connection.
 */
export function createAdmission(
  { total, perClient, answerMaxMs = ANSWER_MAX_MS }: AdmissionLimits,
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
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(resolve, answerMaxMs, "late");
    });
    // It counts until it has ended, answered or not: what waits for the database stays bounded
    const done = next().finally(() => {
      clearTimeout(timer);
      underWay.set(id, (underWay.get(id) ?? 1) - 1);
      all -= 1;
    });
    const outcome = await Promise.race([done, late]);
    return outcome === "late" ? sendProblem(c, { code: "unavailable" }) : undefined;
  };
}
