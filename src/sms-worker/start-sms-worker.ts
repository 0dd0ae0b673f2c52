import { claimMessage, findUnclaimed } from "../shared/database/receipts.ts";
import { startWorker, type Worker, type WorkerParts } from "../shared/delivery/start-worker.ts";
import { createTwilioProvider, type TwilioOptions } from "./twilio.ts";

export async function startSmsWorker(
  { twilio, ...parts }: WorkerParts & { twilio: TwilioOptions },
): Promise<Worker> {
  const provider = createTwilioProvider({
    ...twilio,
    known: {
      claim: (doubt) => claimMessage(parts.sql, doubt),
      unclaimed: (doubt) => findUnclaimed(parts.sql, doubt),
    },
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
