import type { Provider } from "./provider.ts";

/** For deliveries in test mode: they go all the way but the last step. Nothing leaves. */
export function createPretendProvider(): Provider {
  const providerId = ({ id, attempt }: { id: string; attempt: number }) => `test-${id}-${attempt}`;
  return {
    send: async ({ delivery }) => ({ kind: "sent", providerId: providerId(delivery) }),
    // An attempt that nobody recorded is as good as sent
    enquire: async ({ delivery }) => ({ kind: "found", providerId: providerId(delivery) }),
  };
}
