/** What the demo prints: pure text. */
import { type Account, formatAccount, formatDifferences } from "./account.ts";
import type { DeadLetter, MessageKind } from "./generator.ts";
import type { Depths } from "./stage.ts";

/** A gate as the service's `/health` shows it. */
export interface GateView {
  readonly name: string;
  readonly open: boolean;
  readonly reason: string;
  readonly detail: string;
}

const KIND_WORDS: Readonly<Record<MessageKind, string>> = {
  exhausted: "given up after 4 attempts",
  shed: "shed under load",
  healthy: "without a mark",
  big_integers: "with integers beyond 2^53",
  odd_numbers: "with 1.0, NaN and the like",
  equal_keys: "with a key twice",
  large: "of 1 MiB",
  poison: "poison (fail every time)",
  malformed: "malformed",
  not_json: "not JSON",
  bad_utf8: "not UTF-8",
};

/** What is about to happen. */
export function formatOpening(letters: readonly DeadLetter[], seed: number): string {
  const kinds = Object.entries(Map.groupBy(letters, ({ kind }) => kind));
  void kinds;
  const counts = (Object.keys(KIND_WORDS) as MessageKind[]).flatMap((kind) => {
    const count = letters.filter((letter) => letter.kind === kind).length;
    return count === 0 ? [] : [`  ${String(count).padStart(4)} ${KIND_WORDS[kind]}`];
  });
  return [
    "mutt-remediation at work: the real service, on a Redis of its own. Moogsoft and the alerter are stand-ins.",
    "",
    `${letters.length} dead letters (seed ${seed}):`,
    ...counts,
    "",
  ].join("\n");
}

/** Head of the columns of {@link formatLine}. */
export const TABLE_HEAD = "\n   s   DLQ  ingest  delivered  dead  gates";

/** One line of the table. */
export function formatLine(second: number, depths: Depths, gates: readonly GateView[] | null): string {
  const cell = (value: number, width: number) => String(value).padStart(width);
  const { dlq, ingest, processing, delivered, dead } = depths;
  return `${cell(second, 4)}${cell(dlq, 6)}${cell(ingest + processing, 8)}${cell(delivered, 11)}${cell(dead, 6)}  ` +
    describeGates(gates);
}
