/**
 * What the journals say: a closed union of entries. An entry is JSON with a `kind`. Anything else, which any client may have
 * written, parses as the kind `invalid`. Pure.
 */
import type { MoveEntry } from "../redis/move_entry.ts";
import type { SharedJournal } from "../redis/journal_store.ts";

/** Reads a member; `undefined`: it has another type. */
type Read<Value> = (value: unknown) => Value | undefined;

const text: Read<string> = (value) => typeof value === "string" ? value : undefined;
const textOrNull: Read<string | null> = (value) => value === null ? null : text(value);
const count: Read<number> = (value) => Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
const texts: Read<readonly string[]> = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
const object: Read<Readonly<Record<string, unknown>>> = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : undefined;
const counts: Read<Readonly<Record<string, number>>> = (value) =>
  Object.values(object(value) ?? { not: "" }).every((item) => count(item) !== undefined)
    ? value as Record<string, number>
    : undefined;
function oneOf<const Value extends string>(...values: Value[]): Read<Value> {
  return (value) => values.find((one) => one === value);
}

/** Members of every entry but a move's, whose instant is that of its commit. `at`: ISO 8601, by the instance's clock. */
const WHO = { at: text, instance: text };

/** The members of each kind, with their types. */
const MEMBERS = {
  move: {
    ...{ sequence: text, cycle: count, replayed: count, dead: counts, bytes: count, samples: texts, job: textOrNull },
    instance: text,
  },
  /** An action of a person or a program. `input`: a summary; `messages`: ids of the messages that it names. */
  operation: {
    ...WHO,
    ...{ actor: text, role: text, operation: text, source: textOrNull, input: object, result: text },
    ...{ correlationId: textOrNull, job: textOrNull, messages: texts },
  },
  /** A change of the configuration at run time. */
  config: {
    ...WHO,
    ...{
      origin: oneOf("dynamic_key", "sources_file", "notify_file"),
      result: oneOf("applied", "rejected"),
      detail: text,
    },
  },
  service: { ...WHO, event: oneOf("started", "stopped"), version: text },
  leader: { ...WHO, source: text, event: oneOf("gained", "lost") },
  /** A job's change of state. */
  job: { ...WHO, source: text, job: text, actor: text, verb: text, state: text, detail: text },
  /** The end of a drill, with its report in words. */
  drill: { ...WHO, source: text, drill: text, actor: text, state: text, detail: text },
  /** `incident`: an id that all entries of one incident share. */
  incident: {
    ...WHO,
    ...{
      incident: text,
      event: oneOf("began", "updated", "ended"),
      source: textOrNull,
      reason: text,
      detail: text,
    },
  },
} satisfies Record<string, Record<string, Read<unknown>>>;

/** A kind of entry. */
export type EntryKind = keyof typeof MEMBERS;
/** Every kind of entry. */
export const ENTRY_KINDS = Object.keys(MEMBERS) as readonly EntryKind[];

type Parsed<Kind extends EntryKind> = {
  readonly [Member in keyof (typeof MEMBERS)[Kind]]: (typeof MEMBERS)[Kind][Member] extends Read<infer Value> ? Value
    : never;
};
/** An entry of one kind. */
export type EntryOf<Kind extends EntryKind> = { readonly kind: Kind } & Parsed<Kind>;
/** An entry that this service wrote. */
export type Entry = { [Kind in EntryKind]: EntryOf<Kind> }[EntryKind];
/** What stands in a journal without being an entry. */
export interface InvalidEntry {
  readonly kind: "invalid";
  /** What is wrong with it. */
  readonly problem: string;
}

/** The move's entry is declared below this room, where it is written. */
const _isMove: (entry: MoveEntry) => EntryOf<"move"> = (entry) => entry;

/** Kinds that are written by a commit, not by {@link formatEntry}. */
type Written = Exclude<EntryKind, "move">;
/** An entry to be written; when and by whom is added. */
export type NewEntry = { [Kind in Written]: Omit<EntryOf<Kind>, "at" | "instance"> }[Written];

/** The journal that an entry belongs to. */
export function journalOf({ kind }: NewEntry): SharedJournal {
  return kind === "incident" ? "incidents" : "audit";
}

/** Longest text and list in an entry, and the longest entry, in characters. Longer ones are cut. */
const MAX_TEXT = 1_000, MAX_ITEMS = 50, MAX_ENTRY = 8_192;

/** Formats an entry as JSON of at most 8,192 characters: what is longer is cut. */
export function formatEntry(entry: NewEntry, who: { readonly at: string; readonly instance: string }): string {
  const whole = JSON.stringify(
    { ...entry, ...who },
    (_, value: unknown) =>
      typeof value === "string" && value.length > MAX_TEXT
        ? `${value.slice(0, MAX_TEXT)}…`
        : Array.isArray(value)
        ? value.slice(0, MAX_ITEMS)
        : value,
  );
  if (whole.length <= MAX_ENTRY || entry.kind !== "operation") return whole;
  return formatEntry({ ...entry, input: { cut: JSON.stringify(entry.input).slice(0, MAX_TEXT) } }, who);
}

/** Parses an entry. Never throws. Members that its kind does not have are left out. */
export function parseEntry(json: string): Entry | InvalidEntry {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { kind: "invalid", problem: "it is not JSON" };
  }
  const given = object(value);
  if (!given) return { kind: "invalid", problem: "it is not an object" };
  const kind = ENTRY_KINDS.find((one) => one === given.kind);
  if (!kind) return { kind: "invalid", problem: "its kind is unknown" };
  const members = Object.entries<Read<unknown>>(MEMBERS[kind]).map(([name, read]) =>
    [name, read(given[name])] as const
  );
  const wrong = members.filter(([, member]) => member === undefined).map(([name]) => name);
  if (wrong.length > 0) return { kind: "invalid", problem: `missing or of the wrong type: ${wrong.join(", ")}` };
  return { kind, ...Object.fromEntries(members) } as unknown as Entry;
}

const ORIGIN_WORDS: Readonly<Record<EntryOf<"config">["origin"], string>> = {
  dynamic_key: "Dynamic key",
  sources_file: "Sources file",
  notify_file: "Notify file",
};

/** Describes an entry in one sentence. */
export function describeEntry(entry: Entry | InvalidEntry): string {
  switch (entry.kind) {
    case "move": {
      const dead = Object.entries(entry.dead).map(([reason, messages]) => `, ${messages} ${reason}`).join("");
      const cause = entry.job === null ? `cycle ${entry.cycle}` : `job ${entry.job}`;
      return `${entry.replayed} replayed${dead} (${cause})`;
    }
    case "operation":
      return `${entry.actor} ran ${entry.operation}${
        entry.source === null ? "" : ` on ${entry.source}`
      }: ${entry.result}`;
    case "config":
      return `${ORIGIN_WORDS[entry.origin]} ${entry.result}: ${entry.detail}`;
    case "service":
      return `Version ${entry.version} ${entry.event} on ${entry.instance}`;
    case "leader":
      return `${entry.instance} ${entry.event === "gained" ? "leads" : "no longer leads"} ${entry.source}`;
    case "job":
      return `Job ${entry.job} (${entry.verb}) of ${entry.actor} is ${entry.state}${
        entry.detail && `: ${entry.detail}`
      }`;
    case "drill":
      return `Drill ${entry.drill} of ${entry.actor} is over (${entry.state}): ${entry.detail}`;
    case "incident":
      return `Incident ${entry.event}: ${entry.detail}`;
    case "invalid":
      return `Not an entry of this service: ${entry.problem}`;
  }
}
