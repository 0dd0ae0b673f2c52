import { findTakenProviderIds } from "../shared/database/receipts.ts";
import { startWorker, type Worker, type WorkerParts } from "../shared/delivery/start-worker.ts";
import { createTwilioProvider, type TwilioOptions } from "./twilio.ts";

export async function startSmsWorker(
  { twilio, ...parts }: WorkerParts & { twilio: TwilioOptions },
): Promise<Worker> {
  const provider = createTwilioProvider({
    ...twilio,
    findTaken: (of) => findTakenProviderIds(parts.sql, of),
  });
  const worker = await startWorker("sms", { ...parts, provider });
  return {
    ready: worker.ready,
    stop: async () => {
      await worker.stop();
      provider.close();
    },
  };
}
