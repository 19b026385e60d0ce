/**
 * Notices a consumer that dead-letters messages without the stamp that they came with: then what comes back looks like inflow.
 *
 * Remembers a few messages of the last cycle by their other members, and looks for them among arrivals without a stamp. Members that
 * the consumer adds do no harm. Somebody may push a message again that was replayed just before, so a few must match, and what is
 * believed ends with the first arrivals of which none does. Without arrivals (a held cycle replays nothing) it stays believed.
 */
import type { Buffer } from "node:buffer";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER, type SourcePolicy } from "../message/source_policy.ts";

/** Messages remembered of a cycle. */
const MOST = 16;
/** A longer message is neither remembered nor compared, in bytes. */
const MAX_BYTES = 8_192;
/** Different messages that must have come back without their stamp. */
const MIN_MATCHES = 3;
/** Arrivals that are compared at one look. */
const MAX_COMPARED = 200;

/** What one source's consumer does to the stamps, as far as this process has seen. */
export class DroppedStamps {
  readonly #ignored: ReadonlySet<string>;
  /** Of the last cycle: the members of each message, by all of them together. */
  readonly #remembered = new Map<string, ReadonlySet<string>>();
  #cycle = -1;

  constructor({ cutOnReplay, counter }: Pick<SourcePolicy, "cutOnReplay" | "counter">) {
    this.#ignored = new Set([...cutOnReplay, counter ?? "", REMEDIATION_MEMBER, FAILED_AT_MEMBER]);
  }

  /** Tells of messages that a cycle replayed, as they were read. */
  replayed(cycle: number, messages: readonly Buffer[]): void {
    if (messages.length === 0) return;
    if (cycle !== this.#cycle) this.#remembered.clear();
    this.#cycle = cycle;
    for (const message of messages.slice(0, MOST)) {
      if (this.#remembered.size >= MOST) return;
      const members = this.#membersOf(message);
      if (members !== null) this.#remembered.set([...members].sort().join(), members);
    }
  }

  /** Tells what a look found. @returns whether the stamps are dropped; `null`: as far as was known */
  looked({ stamped, unstamped }: { stamped: number; unstamped: readonly Buffer[] }): boolean | null {
    if (stamped > 0) return false;
    if (this.#remembered.size === 0 || unstamped.length === 0) return null;
    const arrived = unstamped.slice(0, MAX_COMPARED).map((message) => this.#membersOf(message) ?? new Set<string>());
    const isBack = (members: ReadonlySet<string>) => arrived.some((one) => members.isSubsetOf(one));
    const matches = [...this.#remembered.values()].filter(isBack).length;
    return matches >= MIN_MATCHES ? true : matches === 0 ? false : null;
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
