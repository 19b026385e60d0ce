/** The account of the demo: what went in against what is where now, byte for byte. Pure. */
import { DEAD_REASONS } from "../src/message/source_policy.ts";
import { coreOf, stampsOf } from "../testkit/model.ts";
import type { DeadLetter } from "../testkit/mutt/dead_letters.ts";
import { findDifferences } from "../testkit/oracle.ts";

/** Everything that was found, as it lies there. */
export interface Found {
  /** What the consumer accepted. */
  readonly delivered: readonly Uint8Array[];
  /** What the consumer threw away. */
  readonly discarded: readonly Uint8Array[];
  readonly dead: readonly Uint8Array[];
  /** What the consumer has stopped at, as the real one would: it is in the consumer's processing list for good. */
  readonly stuck: readonly Uint8Array[];
  /** What is still on its way: in the dead-letter queue or the work queue. */
  readonly waiting: readonly Uint8Array[];
}

/** The account. It adds up when the three differences are 0. */
export interface Account {
  readonly put: number;
  /** How many were found where: `replayed`, `thrown away`, a reason of the dead list, `still waiting`. */
  readonly places: ReadonlyMap<string, number>;
  /** Messages put in and not found, or found with other bytes. */
  readonly lost: readonly DeadLetter[];
  /** Where bytes were found that had been found before, or were never put in. */
  readonly surplus: readonly string[];
  /** Messages found in a place where they do not belong, e.g. a healthy one in the dead list. */
  readonly misplaced: readonly Misplaced[];
}

/** A message that did not end as it had to. */
export interface Misplaced {
  readonly letter: DeadLetter;
  readonly place: string;
}

const REPLAYED = "replayed", DISCARDED = "thrown away by the consumer", STUCK = "stuck in the consumer";
const WAITING = "still waiting";

/** Compares the original payloads with what was found, stamps undone and envelopes opened. */
export function takeAccount(letters: readonly DeadLetter[], found: Found): Account {
  const all = listPlaces(found);
  const { lost, doubled, strangers, misplaced } = findDifferences(
    letters.map((letter) => ({ key: coreOf(letter.original), ends: [placeOf(letter)], letter })),
    all.map(({ place, bytes }) => ({ key: coreOf(bytes), place, isOnItsWay: place === WAITING })),
  );
  const places = new Map<string, number>();
  for (const { place } of all) places.set(place, (places.get(place) ?? 0) + 1);
  return {
    ...{ put: letters.length, places },
    lost: lost.map(({ letter }) => letter),
    surplus: [...doubled, ...strangers].map(({ place }) => place),
    misplaced: misplaced.map(({ entered: { letter }, found: { place } }) => ({ letter, place })),
  };
}

/** Whether everything that went in is there once, with its bytes, and where it belongs. */
export function addsUp({ lost, surplus, misplaced }: Account): boolean {
  return lost.length + surplus.length + misplaced.length === 0;
}

/** `300 in: 262 replayed, 12 poison, 26 malformed = 300. 0 lost, 0 doubled.` */
export function formatAccount({ put, places, lost, surplus }: Account): string {
  const sum = [...places.values()].reduce((total, count) => total + count, 0);
  const parts = [...places].map(([place, count]) => `${count} ${place}`).join(", ");
  return `${put} in: ${parts} = ${sum}. ${lost.length} lost, ${surplus.length} doubled.`;
}

/** One line for each difference, at most 20; without anything out of a message but its kind and length. */
export function formatDifferences({ lost, surplus, misplaced }: Account): string[] {
  const lines = [
    ...lost.map(({ kind, payload }) => `lost: a message of kind ${kind}, ${payload.length} bytes`),
    ...surplus.map((place) => `doubled, or with other bytes: one among those ${place}`),
    ...misplaced.map(({ letter, place }) =>
      `misplaced: one of kind ${letter.kind} is ${place}, not ${placeOf(letter)}`
    ),
  ];
  return lines.length <= 20 ? lines : [...lines.slice(0, 20), `and ${lines.length - 20} more`];
}

/** Why a message is in the dead list, as it says itself. */
export function reasonOf(dead: Uint8Array): string {
  return stampsOf(dead).reason ?? "dead without a reason";
}

function listPlaces({ delivered, discarded, stuck, dead, waiting }: Found): { place: string; bytes: Uint8Array }[] {
  return [
    ...delivered.map((bytes) => ({ place: REPLAYED, bytes })),
    ...discarded.map((bytes) => ({ place: DISCARDED, bytes })),
    ...stuck.map((bytes) => ({ place: STUCK, bytes })),
    ...dead.map((bytes) => ({ place: reasonOf(bytes), bytes })).sort((a, b) => rankOf(a.place) - rankOf(b.place)),
    ...waiting.map((bytes) => ({ place: WAITING, bytes })),
  ];
}

/** Reasons in their own order, anything else first. */
function rankOf(reason: string): number {
  return (DEAD_REASONS as readonly string[]).indexOf(reason);
}

function placeOf({ fate }: DeadLetter): string {
  return fate === "delivered" ? REPLAYED : fate;
}
