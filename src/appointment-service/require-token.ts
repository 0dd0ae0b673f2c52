import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { sendProblem } from "./problem.ts";

/** Lets only requests through that carry the token. Hashes are compared, so that neither length nor time tells anything. */
export function requireToken(token: string): MiddlewareHandler {
  const expected = sha256(token);
  return async (c, next) => {
    const [, given] = /^Bearer +([\x21-\x7e]{1,512})$/i.exec(c.req.header("authorization") ?? "") ??
      [];
    if (given === undefined || !timingSafeEqual(sha256(given), expected)) {
      return sendProblem(c, "unauthorized");
    }
    return await next();
  };
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
