/** The books of one round: what went into the DLQ, and whether lists, order and counters say what the model says. */
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import { DEAD, DLQ, eventText, type Moved, OVERSIZE, TARGET } from "../../../testkit/engine.ts";
import { coreOf, judge } from "../../../testkit/model.ts";
import { bytesOf } from "../../../testkit/payloads.ts";
import type { TestRedis } from "../../../testkit/redis.ts";
import { type Findings, FIRST_LOOK, Oracle } from "../harness/oracle.ts";

/** A message over this size is dead unread. */
export const MAX_MESSAGE_BYTES = 2_048;

const RULES = { ...FIRST_LOOK, maxMessageBytes: MAX_MESSAGE_BYTES };

/** Messages in the making: most of them healthy, the others dead for each reason that a first look knows. */
const KINDS: readonly ((id: number) => string)[] = [
  ...Array(7).fill(eventText),
  (id) => eventText(id, ', "_moog_retry_count": 5'),
  (id) => `{"id": "${id}"}`,
  (id) => `not JSON ${id}`,
  (id) => eventText(id, `, "long": "${"x".repeat(MAX_MESSAGE_BYTES)}"`),
];

/** So many messages, each another. */
export function distinctMessages(count: number, random: SeededRandom): Uint8Array[] {
  return Array.from({ length: count }, (_, id) => bytesOf(random.pick(KINDS)(id)));
}

/** So many messages, byte-equal in rows of any length. */
export function equalMessages(count: number, random: SeededRandom): Uint8Array[] {
  const messages: Uint8Array[] = [];
  while (messages.length < count) {
    const message = bytesOf(random.pick(KINDS)(random.below(2)));
    messages.push(...Array(1 + random.below(count)).fill(message));
  }
  return messages.slice(0, count);
}

/** Who counts what it moves: an engine, or a process that is asked for its metrics. */
export interface Counting {
  moved(): Promise<Moved>;
}

/** Remembers what went in, and compares at the end. */
export class Books {
  readonly #oracle = new Oracle(RULES);
  readonly #messages: readonly Uint8Array[];
  readonly #dead: Readonly<Record<string, number>>;

  constructor(messages: readonly Uint8Array[]) {
    this.#messages = messages;
    this.#oracle.add(messages);
    const dead: Record<string, number> = {};
    for (const message of messages) {
      const reason = judge(message, RULES).deadBy;
      if (reason) dead[reason] = (dead[reason] ?? 0) + 1;
    }
    this.#dead = dead;
  }

  /** By how much the counters of all engines together differ from what there was to do. */
  async miscounted(engines: readonly Counting[]): Promise<number> {
    const counted = await Promise.all(engines.map((engine) => engine.moved()));
    const deaths = Object.values(this.#dead).reduce((a, b) => a + b, 0);
    const replayed = counted.reduce((sum, moved) => sum + moved.replayed, 0);
    const reasons = new Set([...Object.keys(this.#dead), ...counted.flatMap(({ dead }) => Object.keys(dead))]);
    let off = Math.abs(replayed - (this.#messages.length - deaths));
    for (const reason of reasons) {
      const count = counted.reduce((sum, { dead }) => sum + (dead[reason] ?? 0), 0);
      off += Math.abs(count - (this.#dead[reason] ?? 0));
    }
    return off;
  }

  /** Compares lists and counters. What is still in the DLQ, or out of order where that is asked for, counts as misjudged. */
  async check(
    redis: TestRedis,
    { engines, inOrder, about }: { engines: readonly Counting[]; inOrder: boolean; about: string },
  ): Promise<Findings> {
    const [dlq, target, dead, oversize] = await Promise.all(
      [DLQ, TARGET, DEAD, OVERSIZE].map((key) => redis.readList(key)),
    );
    const findings = this.#oracle.check({ dlq: dlq!, target: target!, dead: [...dead!, ...oversize!] }, {
      miscounted: await this.miscounted(engines),
    });
    const astray = inOrder ? this.#outOfOrder({ target, dead, oversize }) : 0;
    const examples = [
      ...findings.examples,
      ...(dlq!.length > 0 ? [`${dlq!.length} are left in the DLQ`] : []),
      ...(astray > 0 ? [`${astray} are out of order`] : []),
    ].map((example) => `${about}: ${example}`);
    return { ...findings, misjudged: findings.misjudged + dlq!.length + astray, examples };
  }

  #outOfOrder(lists: Readonly<Record<string, readonly Uint8Array[] | undefined>>): number {
    const listOf = (message: Uint8Array) => {
      const reason = judge(message, RULES).deadBy;
      return reason === null ? "target" : reason === "oversize" ? "oversize" : "dead";
    };
    const expected = Map.groupBy(this.#messages, listOf);
    const astray = Object.entries(lists).flatMap(([name, list = []]) =>
      list.filter((message, i) => {
        const due = expected.get(name as ReturnType<typeof listOf>)?.[i];
        return due === undefined || coreOf(message) !== coreOf(due);
      })
    );
    return astray.length;
  }
}
