import { type Channel, CHANNELS } from "../../src/shared/domain/delivery.ts";
import type { ConsumeOptions, Hint, Queue } from "../../src/shared/messaging/queue.ts";
import { injectedError, isInjected, type SimulatedProcess } from "./simulated-process.ts";
import type { Simulation } from "./simulation.ts";

export type SimulatedBroker = {
  connect: (process: SimulatedProcess) => Queue;
  /** To be told of each death: what the process had in hand goes back, or is lost. */
  forget: (process: SimulatedProcess) => void;
  goAway: (ms: number) => void;
  wipe: () => void;
};

type Message = { hint: Hint; holder: Consumer | null };
type Consumer = ConsumeOptions & { process: SimulatedProcess; inHand: number };

const DELAY_MS = [1, 20, 500, 5_000, 20_000, 70_000] as const;

/** A queue that keeps only what it must: it may lose hints, double them, delay them and mix their order. */
export function createSimulatedBroker(simulation: Simulation): SimulatedBroker {
  const { random, timeline, faults, trace, fail } = simulation;
  const messages: Record<Channel, Message[]> = { email: [], sms: [] };
  const consumers: Record<Channel, Consumer[]> = { email: [], sms: [] };
  let awayUntil = 0;
  const isAway = () => timeline.now() < awayUntil;

  function put(hint: Hint): void {
    if (random.chance(faults.hintLost)) return trace("broker", `loses ${hint.deliveryId}`);
    const message: Message = { hint, holder: null };
    messages[hint.channel].push(message);
    // Quickly where nothing goes wrong: what waits in a queue is due
    const slow = faults.hintDoubled + faults.hintLost > 0;
    timeline.after(slow ? random.pick(DELAY_MS) : 1, () => handOut(message));
    if (random.chance(faults.hintDoubled)) put(hint);
  }

  function handOut(message: Message): void {
    const { channel } = message.hint;
    const waiting = messages[channel];
    if (message.holder !== null || !waiting.includes(message)) return;
    const free = consumers[channel].filter(({ inHand, prefetch }) => inHand < prefetch);
    if (free.length === 0 || isAway()) {
      timeline.after(1_000, () => handOut(message));
      return;
    }
    const consumer = random.pick(free);
    message.holder = consumer;
    consumer.inHand += 1;
    consumer.process.reach(() => void handle(consumer, message));
  }

  async function handle(consumer: Consumer, message: Message): Promise<void> {
    try {
      await consumer.handle(message.hint);
    } catch (error) {
      if (!isInjected(error)) fail(`${consumer.process.name} failed at a hint: ${error}`);
      consumer.onError(error);
    }
    if (message.holder !== consumer) return; // It came too late: the broker has given it to another
    consumer.inHand -= 1;
    const lane = messages[message.hint.channel];
    const index = lane.indexOf(message);
    if (index !== -1) lane.splice(index, 1);
  }

  return {
    connect: (process) => ({
      publish: (hints) =>
        process.effect("publish", () => {
          if (isAway()) return [...hints];
          // Of hints that are due at the same moment any may be the first: the seed must not depend on it
          return hints.toSorted((a, b) => a.deliveryId < b.deliveryId ? -1 : 1).filter((hint) => {
            const refused = random.chance(faults.publishRefused);
            // A hint may be in the queue although its confirmation never came
            if (!refused || random.chance(0.3)) put(hint);
            return refused;
          });
        }),
      consume: async (channel, options) => {
        consumers[channel].push({ ...options, process, inHand: 0 });
        return { stop: async () => {} };
      },
      ready: (channel) =>
        process.effect("queue length", () => {
          if (isAway() || random.chance(faults.lengthUnknown)) return null;
          return messages[channel].filter(({ holder }) => holder === null).length;
        }),
      check: () =>
        process.effect("check of the queue", () => {
          if (isAway()) throw injectedError();
        }),
      close: async () => {},
    }),
    forget: (process) => {
      for (const channel of CHANNELS) {
        consumers[channel] = consumers[channel].filter((consumer) => consumer.process !== process);
        for (const message of messages[channel]) {
          if (message.holder?.process !== process) continue;
          message.holder = null;
          timeline.after(random.pick(DELAY_MS), () => handOut(message));
        }
      }
    },
    goAway: (ms) => awayUntil = timeline.now() + ms * 1_000,
    wipe: () => {
      for (const channel of CHANNELS) messages[channel] = [];
    },
  };
}
