/** The counts of objectives in memory, by the rule of `add_counts.lua`, which tests/integration/objectives_test.ts compares. */
import type { AddedCounts, AddOptions, ObjectiveStore, StoredSlots } from "../src/redis/objective_store.ts";
import { addToSlots, type NumberedSlot, type Slot } from "../src/slo/slots.ts";

/** Slots of both lists, oldest first, as Redis would have them. */
export class MemoryObjectiveStore implements Pick<ObjectiveStore, "add" | "read"> {
  fine: readonly NumberedSlot[] = [];
  coarse: readonly NumberedSlot[] = [];
  reads = 0;
  readonly #nowMs: () => number;

  /** @param nowMs the server's clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  add(added: readonly AddedCounts[], { sizes, leastMs, newest }: AddOptions): Promise<StoredSlots | null> {
    const nowMs = this.#nowMs(), ageMs = nowMs - (this.fine.at(-1)?.untilMs ?? -Infinity);
    if (leastMs > 0 && ageMs >= 0 && ageMs < leastMs) return Promise.resolve(null);
    for (const { fromAgeMs, untilAgeMs, counts } of added) {
      const slot = { fromMs: nowMs - fromAgeMs, untilMs: nowMs - untilAgeMs, counts };
      this.fine = this.#addTo(this.fine, slot, { slotMs: sizes.fineMs, most: sizes.mostFine });
      this.coarse = this.#addTo(this.coarse, slot, { slotMs: sizes.coarseMs, most: sizes.mostCoarse });
    }
    return Promise.resolve(this.#newest(newest));
  }

  read({ newest }: { newest: number }): Promise<StoredSlots> {
    this.reads++;
    return Promise.resolve(this.#newest(newest));
  }

  #addTo(slots: readonly NumberedSlot[], slot: Slot, options: { slotMs: number; most: number }): NumberedSlot[] {
    const number = slots.at(-1)?.number, after = addToSlots(slots, slot, options);
    const isNew = number === undefined || after.at(-2) === slots.at(-1) || options.most === 1;
    const next = number === undefined ? Math.floor(this.#nowMs() / 1_000) : isNew ? number + 1 : number;
    return [...after.slice(0, -1) as NumberedSlot[], { ...after.at(-1)!, number: next }];
  }

  #newest(newest: number): StoredSlots {
    const texts = (slots: readonly NumberedSlot[]) => slots.slice(-newest).toReversed().map(formatSlot);
    return { nowMs: this.#nowMs(), fine: texts(this.fine), coarse: texts(this.coarse) };
  }
}

/** A slot as `add_counts.lua` writes it. */
export function formatSlot({ number, fromMs, untilMs, counts }: NumberedSlot): string {
  return [number, fromMs, untilMs - fromMs, ...counts].join(" ");
}
