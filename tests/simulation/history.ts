import type { AppointmentStatus } from "../../src/shared/domain/appointment.ts";
import type { QuietHours } from "../../src/shared/domain/clinic.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";

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
  /** Why it was refused for good. */
  refusals: Set<string>;
  withdrawn: boolean;
};

/** A state of the clinic's records, from when our database had it. */
export type Since<State> = { at: number } & State;
export type AppointmentState = Since<{
  status: AppointmentStatus;
  startsAt: number;
  version: number;
}>;
export type PatientState = Since<{
  /** Dead, or no patient any more. */
  gone: boolean;
  consent: Readonly<Partial<Record<Channel, boolean>>>;
  quiet: QuietHours | null;
}>;

/** What really happened, as nobody in the system knows it: what the system does and says is judged by this. */
export type History = {
  messages: Message[];
  submissions: Submission[];
  appointments: Map<string, AppointmentState[]>;
  patients: Map<string, PatientState[]>;
  /** When imports ended well. */
  imports: number[];
  /** Attempts whose end may have gone unrecorded through a fault we made, as "delivery/attempt". */
  accidents: Set<string>;
};

export function createHistory(): History {
  return {
    messages: [],
    submissions: [],
    appointments: new Map(),
    patients: new Map(),
    imports: [],
    accidents: new Set(),
  };
}

/** The state that held at a moment; the first when that is later. */
export function stateAt<State>(states: readonly Since<State>[], at: number): Since<State> | null {
  return states.findLast((state) => state.at <= at) ?? null;
}
