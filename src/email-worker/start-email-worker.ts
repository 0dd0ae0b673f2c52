import { startWorker, type Worker, type WorkerParts } from "../shared/delivery/start-worker.ts";
import { createSmtpProvider, type SmtpTransport } from "./smtp.ts";

export async function startEmailWorker(
  { transport, ...parts }: WorkerParts & { transport: SmtpTransport },
): Promise<Worker> {
  return await startWorker("email", { ...parts, provider: createSmtpProvider(transport) });
}
