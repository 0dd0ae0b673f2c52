import { startWorker, type Worker, type WorkerParts } from "../shared/delivery/start-worker.ts";
import { CALLS_PER_SENDER, createSmtpProvider, type SmtpTransport } from "./smtp.ts";

export async function startEmailWorker(
  { transport, ...parts }: WorkerParts & { transport: SmtpTransport },
): Promise<Worker> {
  const provider = createSmtpProvider(transport);
  return await startWorker("email", { ...parts, provider, callsPerSender: CALLS_PER_SENDER });
}
