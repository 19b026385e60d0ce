/** The account of the demo: what went in against what is where now, byte for byte. Pure. */
import { withoutStamps } from "../src/message/envelope.ts";
import { findMember, objectOf, stringOf } from "../src/message/json_object.ts";
import { readMessage } from "../src/message/read_message.ts";
import { DEAD_REASONS, REMEDIATION_MEMBER } from "../src/message/source_policy.ts";
import { ALERTER_MARKS, type DeadLetter } from "./generator.ts";

/** Everything that was found, as it lies there. */
export interface Found {
  /** What the consumer accepted. */
  readonly delivered: readonly Uint8Array[];
  /** What the consumer threw away. */
  readonly discarded: readonly Uint8Array[];
  readonly dead: readonly Uint8Array[];
  /** What is still on its way: in the dead-letter queue, the work queue, the consumer's hands. */
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

const REPLAYED = "replayed", DISCARDED = "thrown away by the consumer", WAITING = "still waiting";

/** Compares the multiset of original payloads with what was found, stamps undone and envelopes opened. */
export function takeAccount(letters: readonly DeadLetter[], found: Found): Account {
  const expected = Map.groupBy(letters, ({ original }) => keyOf(original));
  const places = new Map<string, number>();
  const surplus: string[] = [], misplaced: Misplaced[] = [];
  for (const { place, bytes } of listPlaces(found)) {
    places.set(place, (places.get(place) ?? 0) + 1);
    const letter = takeMatching(expected.get(keyOf(withoutStamps(bytes, ALERTER_MARKS))) ?? [], place);
    if (!letter) surplus.push(place);
    else if (place !== WAITING && place !== placeOf(letter)) misplaced.push({ letter, place });
  }
  return { put: letters.length, places, lost: [...expected.values()].flat(), surplus, misplaced };
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
  const message = readMessage(dead);
  const member = message.readable ? findMember(message, REMEDIATION_MEMBER) : null;
  const record = member && objectOf(member);
  const reason = record && findMember(record, "reason");
  return reason && stringOf(reason) || "dead without a reason";
}

function listPlaces({ delivered, discarded, dead, waiting }: Found): { place: string; bytes: Uint8Array }[] {
  return [
    ...delivered.map((bytes) => ({ place: REPLAYED, bytes })),
    ...discarded.map((bytes) => ({ place: DISCARDED, bytes })),
    ...dead.map((bytes) => ({ place: reasonOf(bytes), bytes })).sort((a, b) => rankOf(a.place) - rankOf(b.place)),
    ...waiting.map((bytes) => ({ place: WAITING, bytes })),
  ];
}

/** Reasons in their own order, anything else first. */
function rankOf(reason: string): number {
  return (DEAD_REASONS as readonly string[]).indexOf(reason);
}

/** Takes one out, if there is any; among byte-equal ones the one that belongs there. */
function takeMatching(letters: DeadLetter[], place: string): DeadLetter | undefined {
  const at = letters.findIndex((letter) => placeOf(letter) === place);
  return letters.splice(Math.max(0, at), 1)[0];
}

function placeOf({ fate }: DeadLetter): string {
  return fate === "delivered" ? REPLAYED : fate;
}

/** A text that is equal where the bytes are: one character a byte. */
function keyOf(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
