/**
 * Notices a consumer that dead-letters messages without the stamp that they came with: then what comes back looks like inflow.
 *
 * Remembers a few messages of each cycle by their other members, and looks for them among arrivals without a stamp. Members that the
 * consumer adds do no harm. Messages that are like others of their cycle are not remembered: a new event may be like them too.
 */
import type { Buffer } from "node:buffer";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER, type SourcePolicy } from "../domain/source.ts";

/** Messages remembered a cycle, and in all, oldest forgotten first. */
const PER_CYCLE = 16, MOST = 64;
/** A longer message is neither remembered nor compared, in bytes. */
const MAX_BYTES = 8_192;
/** Different messages that must have come back without their stamp. */
const MIN_MATCHES = 3;
/** Arrivals that are compared at one look. */
const MAX_COMPARED = 200;

/** What one source's consumer does to the stamps, as far as this process has seen. */
export class DroppedStamps {
  readonly #ignored: ReadonlySet<string>;
  /** The remembered messages: their members, oldest first, by all of them together. */
  readonly #remembered = new Map<string, ReadonlySet<string>>();
  readonly #matched = new Set<string>();
  #cycle = -1;
  #inCycle = 0;
  /** All that the cycle in hand replayed and that could be remembered, to know what is there twice. */
  readonly #seen = new Set<string>();

  constructor({ cutOnReplay, counter }: Pick<SourcePolicy, "cutOnReplay" | "counter">) {
    this.#ignored = new Set([...cutOnReplay, counter ?? "", REMEDIATION_MEMBER, FAILED_AT_MEMBER]);
  }

  /** Tells of messages that a cycle replayed, as they were read. */
  replayed(cycle: number, messages: readonly Buffer[]): void {
    if (cycle !== this.#cycle) {
      this.#cycle = cycle;
      this.#inCycle = 0;
      this.#seen.clear();
    }
    for (const message of messages.slice(0, PER_CYCLE)) {
      if (this.#inCycle >= PER_CYCLE) return;
      const members = this.#membersOf(message);
      if (members === null) continue;
      const text = [...members].sort().join("\n");
      if (this.#seen.has(text)) {
        this.#remembered.delete(text);
        continue;
      }
      this.#seen.add(text);
      this.#inCycle++;
      this.#remembered.delete(text);
      this.#remembered.set(text, members);
      if (this.#remembered.size > MOST) this.#remembered.delete(this.#remembered.keys().next().value!);
    }
  }

  /**
   * Tells what a look found. @returns true: the stamps are dropped; false: one came back with its stamp; `null`: not known
   */
  looked({ stamped, unstamped }: { stamped: number; unstamped: readonly Buffer[] }): boolean | null {
    if (stamped > 0) {
      this.#matched.clear();
      return false;
    }
    for (const message of unstamped.slice(0, MAX_COMPARED)) {
      const members = this.#membersOf(message);
      if (members === null) continue;
      for (const [text, those] of this.#remembered) if (those.isSubsetOf(members)) this.#matched.add(text);
    }
    return this.#matched.size >= MIN_MATCHES ? true : null;
  }

  /** Its members, without those that are cut or added on the way; null where there are none to compare. */
  #membersOf(bytes: Buffer): ReadonlySet<string> | null {
    if (bytes.length > MAX_BYTES) return null;
    const members = Object.entries(parseObject(bytes)).filter(([name]) => !this.#ignored.has(name));
    return members.length === 0 ? null : new Set(members.map((member) => JSON.stringify(member)));
  }
}

/** Only to be compared, so a number may lose digits. What JSON.parse does not take (`NaN`) has no members here. */
function parseObject(bytes: Buffer): object {
  try {
    return Object(JSON.parse(bytes.toString()));
  } catch {
    return {};
  }
}
