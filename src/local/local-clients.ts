import { createHash } from "node:crypto";

const sha256 = (key: string) => createHash("sha256").update(key).digest("hex");

/** The API keys of a laptop, as CLIENTS_FILE would say them. They are no secret: the Dispatcher listens on this machine only. */
export const LOCAL_CLIENTS = {
  clients: [
    { id: "local-live", clinic: "ruiz", type: "live", keySha256: [sha256("carillon-local-live")] },
    {
      id: "local-team",
      clinic: "ruiz",
      type: "team",
      keySha256: [sha256("carillon-local-team")],
      allow: ["team@example.org", "+447700900999"],
    },
    { id: "local-test", clinic: "ruiz", type: "test", keySha256: [sha256("carillon-local-test")] },
    // The Appointment Service's own, for all clinics
    {
      id: "appointment-service",
      clinic: "*",
      type: "live",
      keySha256: [sha256("carillon-local-service")],
    },
  ],
};
