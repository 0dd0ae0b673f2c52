import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";

const Request = z.strictObject({
  notifications: z.array(z.strictObject({
    reference: z.string(),
    clinic: z.string(),
    template: z.literal("appointment-reminder"),
    recipient: z.strictObject({ patientId: z.string() }),
    channels: z.array(z.enum(["email", "sms"])).min(1),
    strategy: z.enum(["all", "first-success"]),
    appointment: z.strictObject({
      id: z.string(),
      startsAt: z.iso.datetime(),
      timeZone: z.string(),
    }),
    expiresAt: z.iso.datetime(),
    maxDataAge: z.string(),
  })).min(1).max(500),
});
export type FakeNotification = z.infer<typeof Request>["notifications"][number] & { id: string };

export type Fault =
  /** The whole batch is answered so, and nothing of it accepted. */
  | { kind: "status"; status: number }
  /** The batch is accepted and the answer lost: the connection breaks. */
  | { kind: "break" }
  /** The batch is accepted and no answer comes. */
  | { kind: "silence" }
  /** Items whose reference this accepts get this problem, the others are accepted. */
  | { kind: "item"; status: number; code: string; matches: (reference: string) => boolean };

export type FakeDispatcher = {
  url: string;
  apiKey: string;
  /** What was accepted, by reference: a repeat is answered with the first. */
  accepted: Map<string, FakeNotification>;
  /** How often each reference was submitted and accepted. */
  submissions: Map<string, number>;
  /** In force until it is changed. */
  fault: Fault | null;
};

/** A Notification Dispatcher's batch API over HTTP, strict about what it reads. Closed after the test file. */
export async function createFakeDispatcher(): Promise<FakeDispatcher> {
  const server = createServer((request, response) => void answer(fake, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const fake: FakeDispatcher = {
    url: `http://127.0.0.1:${port}`,
    apiKey: "fake-key",
    accepted: new Map(),
    submissions: new Map(),
    fault: null,
  };
  return fake;
}

async function answer(
  fake: FakeDispatcher,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const send = (status: number, body: unknown) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  const { fault } = fake;
  if (request.method !== "POST" || request.url !== "/v1/notifications/batch") return send(404, {});
  if (request.headers.authorization !== `Bearer ${fake.apiKey}`) return send(401, {});
  if (fault?.kind === "status") return send(fault.status, {});

  const batch = Request.safeParse(JSON.parse(Buffer.concat(chunks).toString()));
  if (!batch.success) return send(400, { code: "invalid_request" });
  const results = batch.data.notifications.map((item) => accept(fake, item));
  if (fault?.kind === "break") return void request.socket.destroy();
  if (fault?.kind === "silence") return;
  send(200, { results });
}

function accept(fake: FakeDispatcher, item: Omit<FakeNotification, "id">) {
  const { fault, accepted, submissions } = fake;
  const { reference } = item;
  if (fault?.kind === "item" && fault.matches(reference)) {
    const { status, code } = fault;
    return { status, problem: { type: "about:blank", title: "No", status, code } };
  }
  const notification = accepted.get(reference) ?? { ...item, id: uuidv7() };
  accepted.set(reference, notification);
  submissions.set(reference, (submissions.get(reference) ?? 0) + 1);
  return { status: 202, notification: { id: notification.id, reference, status: "scheduled" } };
}
