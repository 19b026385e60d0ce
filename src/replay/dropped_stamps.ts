/**
 * Detects a consumer that removes the stamp from messages before it dead-letters them. Then returns look like inflow.
 *
 * Remembers some messages of the last cycle by their other members, and looks for them among arrivals without a stamp. The
 * consumer may add members. A producer may send a replayed message again, so several must match. The condition ends with the
 * first arrivals of which none matches; without arrivals (a held cycle replays nothing) it stays.
 */
import type { Buffer } from "node:buffer";
import { openLetter } from "../message/letter.ts";
import type { MemberPath, MemberRef } from "../message/member_path.ts";
import { pathsOf } from "../message/policy_paths.ts";
import { readMessage } from "../message/read_message.ts";
import { FAILED_AT_MEMBER, REMEDIATION_MEMBER, type SourcePolicy } from "../message/source_policy.ts";

/** Maximum messages to remember from a cycle. */
const MOST = 16;
/** Maximum size of a message to remember or compare, in bytes. */
const MAX_BYTES = 8_192;
/** Minimum number of different messages that must come back without their stamp. */
const MIN_MATCHES = 3;
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
/** Maximum arrivals to compare at one look. */
const MAX_COMPARED = 200;

/** Tells whether the consumer of one source drops the stamps, from what this process has seen. */
export class DroppedStamps {
  readonly #unwrap: MemberPath | null;
  /** Members of the inner message. */
  readonly #ignored: readonly MemberRef[];
  /** Messages of the last cycle, each as the set of its members, by the joined text of these. */
  readonly #remembered = new Map<string, ReadonlySet<string>>();
  #cycle = -1;

  constructor(policy: Pick<SourcePolicy, "cutOnReplay" | "counter" | "unwrap">) {
    const { unwrap, changing } = pathsOf(policy);
    this.#unwrap = unwrap;
    this.#ignored = [...changing, REMEDIATION_MEMBER, FAILED_AT_MEMBER];
  }

  /** Remembers messages that a cycle replayed, as they were read. */
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

  /** Compares the arrivals of one look. @returns whether the consumer drops the stamps; `null`: no news */
  looked({ stamped, unstamped }: { stamped: number; unstamped: readonly Buffer[] }): boolean | null {
    if (stamped > 0) return false;
    if (this.#remembered.size === 0 || unstamped.length === 0) return null;
    const arrived = unstamped.slice(0, MAX_COMPARED).map((message) => this.#membersOf(message) ?? new Set<string>());
    const isBack = (members: ReadonlySet<string>) => arrived.some((one) => members.isSubsetOf(one));
    const matches = [...this.#remembered.values()].filter(isBack).length;
    return matches >= MIN_MATCHES ? true : matches === 0 ? false : null;
  }

  /** The message's members, without those that a replay or the consumer cuts or adds; null if none is left to compare. */
  #membersOf(bytes: Buffer): ReadonlySet<string> | null {
    if (bytes.length > MAX_BYTES) return null;
    const message = parseObject(bytes, this.#unwrap);
    for (const ref of this.#ignored) remove(message, typeof ref === "string" ? [ref] : ref);
    const members = Object.entries(message);
    return members.length === 0 ? null : new Set(members.map((member) => JSON.stringify(member)));
  }
}

/**
 * Parses the inner message. The result is only compared, so numbers may lose digits. A message that JSON.parse rejects (`NaN`) has no
 * members.
 */
function parseObject(bytes: Buffer, unwrap: MemberPath | null): object {
  const message = unwrap === null ? null : readMessage(bytes);
  const inner = message?.readable ? openLetter(message, unwrap).inner : null;
  if (unwrap !== null && inner === null) return {};
  try {
    return Object(JSON.parse(UTF8.decode(inner?.bytes ?? bytes)));
  } catch {
    return {};
  }
}

function remove(object: object, [name, ...rest]: MemberPath): void {
  if (name === undefined || !Object.hasOwn(object, name)) return;
  const value: unknown = Reflect.get(object, name);
  if (rest.length === 0) Reflect.deleteProperty(object, name);
  else if (typeof value === "object" && value !== null && !Array.isArray(value)) remove(value, rest);
}
