import { z } from "zod";
import type { Submission } from "./history.ts";
import type { Network } from "./network.ts";
import type { Simulation } from "./simulation.ts";
import { HOUR_MS, MINUTE_MS, type World } from "./world.ts";

/** A client of the Dispatcher, who asks until it has an answer, and now and then again. */
type Ask = { path: string; body: unknown; headers: Record<string, string> };

const USEFUL_MS = [30_000, 3 * MINUTE_MS, 10 * MINUTE_MS] as const;
const TRIES_MAX = 400;

const Result = z.object({
  status: z.int(),
  notification: z.object({ id: z.string() }).optional(),
  problem: z.object({ code: z.string() }).optional(),
});
type Result = z.infer<typeof Result>;
const Answers = z.union([
  z.object({ results: z.array(Result) }).transform(({ results }) => results),
  z.object({ status: z.int(), code: z.string() })
    .transform(({ status, code }): Result[] => [{ status, problem: { code } }]),
  z.object({ id: z.string() })
    .transform(({ id }): Result[] => [{ status: 202, notification: { id } }]),
]);

/** Asks for a few notifications in the time given, and withdraws some. */
export function startClient(
  simulation: Simulation,
  { world, submissions, network, activeMs }: {
    world: World;
    submissions: Submission[];
    network: Network;
    activeMs: number;
  },
): void {
  const { random, timeline, fail } = simulation;
  const sleep = (ms: number) => new Promise<void>((resolve) => void timeline.after(ms, resolve));

  /** The results, in the order of what was asked; null when the client gave up before there was an answer. */
  async function ask({ path, body, headers }: Ask) {
    const init = {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    };
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const reply = await network.request(path, init);
      if (reply !== null && reply.status < 500) {
        const results = Answers.parse(JSON.parse(reply.text));
        if (results.every(({ status }) => status < 500)) return results;
      }
      if (random.chance(0.05)) return null;
      await sleep(random.between(500, 20_000));
    }
    return null;
  }

  async function submit(asked: Submission[], { path, body, headers }: Ask): Promise<void> {
    const known = asked.map(({ ids }) => ids.size > 0);
    const results = await ask({ path, body, headers });
    for (const [index, submission] of asked.entries()) {
      const result = results?.[index] ?? results?.[0];
      if (result?.notification !== undefined) submission.ids.add(result.notification.id);
      // Two dispatchers' clocks may disagree on whether it is too late: but once accepted is accepted
      if (result?.problem !== undefined && known[index] === true) {
        fail(`${submission.reference} was accepted, and then refused: ${result.problem.code}`);
      }
    }
  }

  async function useOnce(): Promise<void> {
    await sleep(random.between(0, activeMs));
    const mode = random.chance(0.1) ? "test" : "live";
    const bodies = Array.from({ length: random.chance(0.2) ? 2 : 1 }, () => draw());
    const asked = bodies.map(({ reference, clinic }) => ({
      reference,
      clinicId: clinic,
      ids: new Set<string>(),
      withdrawn: false,
    }));
    submissions.push(...asked);
    const key: Record<string, string> = random.chance(0.2)
      ? { "idempotency-key": bodies[0]?.reference ?? "" }
      : {};
    const headers = { authorization: `Bearer ${mode}`, ...key };
    const request: Ask = bodies.length > 1
      ? { path: "/v1/notifications/batch", body: { notifications: bodies }, headers }
      : { path: "/v1/notifications", body: bodies[0], headers };
    // A client that does not wait asks twice at once
    const first = random.chance(0.1)
      ? Promise.all([submit(asked, request), submit(asked, request)])
      : submit(asked, request);
    await first;
    if (random.chance(0.3)) {
      await sleep(random.between(0, activeMs));
      await submit(asked, request);
    }
    await misuse(asked[0] as Submission, {
      ...request,
      body: bodies[0],
      path: "/v1/notifications",
    });
    await withdraw(asked[0] as Submission, headers);
  }

  /** Another request under the same reference is a mistake, and is told so. */
  async function misuse({ reference, ids }: Submission, request: Ask): Promise<void> {
    if (ids.size === 0 || !random.chance(0.15)) return;
    const body = { ...request.body as object, locale: undefined, data: { practitioner: "Dr No" } };
    const headers = { authorization: request.headers.authorization ?? "" };
    const [result] = await ask({ ...request, body, headers }) ?? [];
    if (result?.notification !== undefined) {
      fail(`another request under ${reference} came to ${JSON.stringify(result)}`);
    }
  }

  async function withdraw(submission: Submission, headers: Record<string, string>): Promise<void> {
    const [id] = submission.ids;
    if (id === undefined || !random.chance(0.25)) return;
    await sleep(random.between(0, random.pick([100, MINUTE_MS, activeMs])));
    submission.withdrawn = true;
    const { authorization = "" } = headers;
    const init = { method: "POST", headers: { authorization } };
    await network.request(`/v1/notifications/${id}/cancel`, init);
  }

  function draw() {
    const now = timeline.date().getTime();
    const appointment = random.pick(world.appointments);
    const patient = world.patients.find(({ id }) => id === appointment.patientId);
    const template = random.pick([
      "appointment-confirmation",
      "appointment-confirmation",
      "news",
      "appointment-cancelled",
    ]);
    const channels = random.pick([["sms"], ["email"], ["sms", "email"], ["email", "sms"]]);
    const known = random.chance(0.6);
    const sendAt = now + (random.chance(0.3) ? random.between(0, HOUR_MS) : 0);
    const reference = `request-${submissions.length}-${random.integer(0, 1e9)}`;
    const iso = (ms: number) => new Date(ms).toISOString();
    return {
      reference,
      clinic: appointment.clinicId,
      template,
      recipient: {
        patientId: appointment.patientId,
        ...!known && { name: "Ana", email: "ana@example.test", phone: "+447700900555" },
        ...patient?.locale === "es" && { locale: "es" },
      },
      channels,
      strategy: random.pick(["all", "first-success"]),
      data: { practitioner: reference },
      ...template !== "news" && {
        appointment: {
          id: appointment.id,
          startsAt: appointment.startsAt.toISOString(),
          ...random.chance(0.5) && { version: appointment.version ?? "1" },
        },
      },
      ...sendAt > now && { sendAt: iso(sendAt) },
      ...random.chance(0.3) &&
        { expiresAt: iso(sendAt + random.between(5_000, random.pick(USEFUL_MS))) },
      ...random.chance(0.1) && { maxDataAge: "PT45M" },
    };
  }

  const uses = random.integer(1, 4);
  for (let use = 0; use < uses; use += 1) void useOnce();
}
