import type { Channel } from "../../src/shared/domain/delivery.ts";
import type { ClinicRecords } from "./clinic-records.ts";

/** A message that a provider took: the patient has it, unless a receipt says that it failed. */
export type Message = {
  channel: Channel;
  providerId: string;
  deliveryId: string;
  attempt: number;
  to: string;
  from: string;
  text: string;
  takenAt: number;
  /** The provider has told us that it failed. */
  reportedFailed: boolean;
  /** The provider has told us that it arrived. */
  reportedDelivered: boolean;
};

/** What a client asked for, and what it was told. */
export type Submission = {
  reference: string;
  clinicId: string;
  /** Of the answers with a 202. */
  ids: Set<string>;
  withdrawn: boolean;
};

/** What really happened, as nobody in the system knows it: what the system does and says is judged by this. */
export type History = {
  messages: Message[];
  submissions: Submission[];
  /** As the clinic's part of our database was, from its beginning. */
  records: ClinicRecords[];
  /** Attempts whose end may have gone unrecorded through a fault we made, as "delivery/attempt". */
  accidents: Set<string>;
};

export function createHistory(): History {
  return {
    messages: [],
    submissions: [],
    records: [],
    accidents: new Set(),
  };
}
