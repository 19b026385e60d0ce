/**
 * A reference model for the fate of a dead letter, written from the design and not from `src`: slow, on decoded text,
 * with a grammar of regular expressions. Tests compare the real code with it byte for byte.
 */

/** The rules of one source and the judging cycle. */
export interface ModelRules {
  readonly source: string;
  readonly counter: string;
  readonly cut: readonly string[];
  readonly required: readonly string[];
  readonly maxPoisonRetries: number;
  readonly maxMessageBytes: number;
  readonly cycle: number;
  /** When the cycle began, in seconds since the epoch. */
  readonly since: number;
  /** Whether stamps are recorded beside the messages, which may be any bytes; default: they are inside. For first looks only. */
  readonly beside?: boolean;
  /** Weight of a return from a cycle, in bits; 0 if the cycle is unknown. */
  readonly bitsOf: (cycle: number, isFirst: boolean) => number;
}

/** The fate of a message and its new stamp. */
export interface Fate {
  /** `null`: replayed. */
  readonly deadBy: "poison" | "malformed" | "unreadable" | "oversize" | null;
  readonly failures: number;
  readonly evidence: number;
  readonly sheds: number;
  /** `null`: the instant of the judgement. */
  readonly since: number | null;
}

type Value =
  | { readonly kind: "object"; readonly members: readonly ModelMember[]; readonly open: number; readonly close: number }
  | { readonly kind: "array"; readonly isEmpty: boolean }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "number"; readonly literal: string }
  | { readonly kind: "literal"; readonly literal: string };

/** A top-level member: its decoded name and its position in the text. */
export interface ModelMember {
  readonly name: string;
  readonly value: Value;
  readonly valueStart: number;
  readonly start: number;
  readonly end: number;
}

type ModelObject = Extract<Value, { kind: "object" }>;
type Reading = { readonly text: string; readonly object: ModelObject } | {
  readonly problem: "malformed" | "unreadable";
};

class NotReadable extends Error {}

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity/y;
const LITERAL = /true|false|null/y;
const INTEGER = /^-?[0-9]+$/;
const DEEPEST = 500, MOST_DIGITS = 4_300, HIGHEST_COUNT = 1_000;

class Reader {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  whole(): Value {
    this.take(SPACE);
    const value = this.value(1);
    this.take(SPACE);
    if (this.at !== this.text.length) throw new NotReadable();
    return value;
  }

  /** Consumes a match at the cursor; `null` if there is none. */
  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? null;
    this.at += found?.length ?? 0;
    return found;
  }

  mark(character: string): boolean {
    this.take(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  must(character: string): void {
    if (!this.mark(character)) throw new NotReadable();
  }

  string(): string {
    const literal = this.take(STRING);
    if (literal === null) throw new NotReadable();
    return JSON.parse(literal);
  }

  value(depth: number): Value {
    const first = this.text[this.at];
    if ((first === "{" || first === "[") && depth > DEEPEST) throw new NotReadable();
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return { kind: "string", text: this.string() };
    const number = this.take(NUMBER);
    if (number !== null) {
      if (INTEGER.test(number) && number.replace("-", "").length > MOST_DIGITS) throw new NotReadable();
      return { kind: "number", literal: number };
    }
    const literal = this.take(LITERAL);
    if (literal === null) throw new NotReadable();
    return { kind: "literal", literal };
  }

  object(depth: number): ModelObject {
    const open = this.at;
    const members: ModelMember[] = [];
    this.must("{");
    while (!(members.length === 0 && this.mark("}"))) {
      this.take(SPACE);
      const start = this.at;
      const name = this.string();
      this.must(":");
      this.take(SPACE);
      const valueStart = this.at;
      const value = this.value(depth + 1);
      members.push({ name, value, valueStart, start, end: this.at });
      if (this.mark("}")) break;
      this.must(",");
    }
    return { kind: "object", members, open, close: this.at - 1 };
  }

  array(depth: number): Value {
    this.must("[");
    let isEmpty = true;
    while (!(isEmpty && this.mark("]"))) {
      isEmpty = false;
      this.take(SPACE);
      this.value(depth + 1);
      if (this.mark("]")) break;
      this.must(",");
    }
    return { kind: "array", isEmpty };
  }
}

function read(bytes: Uint8Array): Reading {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = new Reader(text).whole();
    return value.kind === "object" ? { text, object: value } : { problem: "malformed" };
  } catch (error) {
    if (error instanceof NotReadable || error instanceof TypeError) return { problem: "unreadable" };
    throw error;
  }
}

function lastOf(object: ModelObject, name: string): Value | undefined {
  return object.members.findLast((member) => member.name === name)?.value;
}

function asNumber(value: Value | undefined): number {
  return value?.kind === "number" ? Number(value.literal) : NaN;
}

function count(record: ModelObject, name: string): number {
  const value = lastOf(record, name);
  const number = value?.kind === "number" ? asNumber(value) : NaN;
  return Number.isInteger(number) && number >= 0 && number <= HIGHEST_COUNT ? number : 0;
}

function isFalsy(value: Value | undefined): boolean {
  if (value === undefined) return true;
  if (value.kind === "object") return value.members.length === 0;
  if (value.kind === "array") return value.isEmpty;
  if (value.kind === "string") return value.text === "";
  return value.kind === "number" ? asNumber(value) === 0 : value.literal !== "true";
}

/** Judges a message by the rules. */
export function judge(bytes: Uint8Array, rules: ModelRules): Fate {
  const none = { failures: 0, evidence: 0, sheds: 0, since: rules.since };
  if (bytes.length > rules.maxMessageBytes) return { deadBy: "oversize", ...none };
  const reading = read(bytes);
  if ("problem" in reading) {
    return { deadBy: rules.beside && rules.required.length === 0 ? null : reading.problem, ...none };
  }
  const { object } = reading;
  const record = lastOf(object, "_remediation");
  const counts = record?.kind === "object" ? countReturn(object, record, rules) : none;
  if (rules.required.some((name) => isFalsy(lastOf(object, name)))) return { deadBy: "malformed", ...counts };
  const carried = asNumber(lastOf(object, rules.counter));
  const { failures, evidence, since } = counts, longAgo = since !== null && since < Date.now() / 1_000 - 12 * 3_600;
  const isPoison = carried >= rules.maxPoisonRetries ||
    (failures >= rules.maxPoisonRetries && (evidence >= 9.9 || (failures >= 24 && longAgo)));
  return { deadBy: isPoison ? "poison" : null, ...counts };
}

function countReturn(object: ModelObject, record: ModelObject, rules: ModelRules): Omit<Fate, "deadBy"> {
  const more = (value: number) => Math.min(value + 1, HIGHEST_COUNT);
  const sheds = count(record, "sheds"), told = asNumber(lastOf(record, "evidence"));
  const failures = Math.min(HIGHEST_COUNT, count(record, "failures") + count(record, "excused"));
  const evidence = told >= 0 && told <= HIGHEST_COUNT ? told : 0, since = wholeOf(lastOf(record, "since"));
  if (lastOf(object, "shedding_reason") !== undefined) {
    return { evidence, since, sheds: more(sheds), failures: more(sheds) % 10 === 0 ? more(failures) : failures };
  }
  const source = lastOf(record, "source"), cycle = wholeOf(lastOf(record, "cycle"));
  const isKnown = cycle !== null && cycle <= rules.cycle && source?.kind === "string" && source.text === rules.source;
  const bits = isKnown ? rules.bitsOf(cycle, failures === 0 && sheds === 0) : 0;
  return { failures: more(failures), evidence: Math.floor(100 * (evidence + bits)) / 100, sheds, since };
}

function wholeOf(value: Value | undefined): number | null {
  return value?.kind === "number" && /^[0-9]+$/.test(value.literal) && Number.isSafeInteger(asNumber(value))
    ? asNumber(value)
    : null;
}

/** Builds the exact bytes of a message with this fate in the target or the dead list. */
export function render(
  bytes: Uint8Array,
  fate: Fate,
  { rules, failedAt, lookedAt }: { rules: ModelRules; failedAt: string; lookedAt: number | null },
) {
  if (fate.deadBy === "oversize") return bytes;
  const sheds = fate.sheds > 0 ? `, "sheds": ${fate.sheds}` : "";
  const reading = read(bytes);
  const own = fate.deadBy === null || "problem" in reading ? null : ownFailedAt(reading);
  const reason = fate.deadBy === null
    ? ""
    : `, "reason": "${fate.deadBy}"${own === null ? "" : `, "failed_at": ${own}`}`;
  const failures = fate.failures === 0 ? "0" : `${fate.failures}.0`;
  const record = `"_remediation": {"failures": ${failures}, "evidence": ${fate.evidence}${sheds}, ` +
    `"since": ${fate.since ?? lookedAt}, "cycle": ${rules.cycle}, "source": "${rules.source}"${reason}}`;
  if ("problem" in reading) return encode(`{"failed_at": "${failedAt}", ${record}, ${payloadMember(bytes)}}`);
  return fate.deadBy === null
    ? splice(reading, { cut: [...rules.cut, "_remediation"], append: record })
    : splice(reading, { cut: ["failed_at", "_remediation"], append: `"failed_at": "${failedAt}", ${record}` });
}

/** The original text of `failed_at`: not from an earlier burial, or the one that a burial kept. */
function ownFailedAt({ text, object }: Extract<Reading, { text: string }>): string | null {
  const textOf = (inside: ModelObject) => {
    const member = inside.members.findLast(({ name }) => name === "failed_at");
    return member ? text.slice(member.valueStart, member.end) : null;
  };
  const record = lastOf(object, "_remediation");
  return textOf(record?.kind === "object" && lastOf(record, "reason") !== undefined ? record : object);
}

function payloadMember(bytes: Uint8Array): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const json = JSON.stringify(text);
    if (encode(json).length - 2 <= 4 / 3 * bytes.length + 1_024) return `"payload": ${json}`;
  } catch {
    // Not UTF-8.
  }
  return `"payload_b64": "${btoa(String.fromCharCode(...bytes))}"`;
}

/** Cuts members with the separator before them (the first remaining member has none) and appends new ones. */
function splice(
  { text, object }: Extract<Reading, { text: string }>,
  { cut, append }: { cut: readonly string[]; append: string },
): Uint8Array {
  const { members, open } = object;
  const from = members[0]?.start ?? open + 1, to = members.at(-1)?.end ?? open + 1;
  let inside = "";
  members.forEach((member, i) => {
    if (cut.includes(member.name)) return;
    const separator = inside === "" ? "" : text.slice(members[i - 1]!.end, member.start);
    inside += separator + text.slice(member.start, member.end);
  });
  if (append !== "") inside += (inside === "" ? "" : ", ") + append;
  return encode(text.slice(0, from) + inside + text.slice(to));
}

/** The JSON text of the member that a path leads to; `null`: there is none. Only for readable messages. */
export function textAt(bytes: Uint8Array, path: readonly string[]): string | null {
  const { text, object } = readable(bytes);
  let inside: ModelObject | null = object, found: ModelMember | undefined;
  for (const name of path) {
    found = inside?.members.findLast((member) => member.name === name);
    inside = found?.value.kind === "object" ? found.value : null;
  }
  return found ? text.slice(found.valueStart, found.end) : null;
}

/** The message without the members that paths lead to, wherever these names occur. Only for readable messages. */
export function withoutPaths(bytes: Uint8Array, paths: readonly (readonly string[])[]): Uint8Array {
  const { text, object } = readable(bytes);
  return encode(text.slice(0, object.open) + without(text, object, paths) + text.slice(object.close + 1));
}

function without(text: string, { members, open, close }: ModelObject, paths: readonly (readonly string[])[]): string {
  const from = members[0]?.start ?? open + 1, to = members.at(-1)?.end ?? open + 1;
  let inside = "";
  members.forEach(({ name, value, start, valueStart, end }, i) => {
    const rests = paths.filter(([first]) => first === name).map((path) => path.slice(1));
    if (rests.some((rest) => rest.length === 0)) return;
    const separator = inside === "" ? "" : text.slice(members[i - 1]!.end, start);
    const kept = value.kind === "object" ? without(text, value, rests) : text.slice(valueStart, end);
    inside += separator + text.slice(start, valueStart) + kept;
  });
  return text.slice(open, from) + inside + text.slice(to, close + 1);
}

function readable(bytes: Uint8Array): Extract<Reading, { text: string }> {
  const reading = read(bytes);
  if ("problem" in reading) throw new Error("no consumer can read this message");
  return reading;
}

/** A message as a consumer returns it, with an appended member. Only for readable messages. */
export function withMember(bytes: Uint8Array, member: string): Uint8Array {
  return splice(readable(bytes), { cut: [], append: member });
}

/** The service's data in a message: its stamp and its `failed_at`. */
export function stampsOf(bytes: Uint8Array) {
  const reading = read(bytes);
  if ("problem" in reading) {
    return { cycle: null, reason: null, failedAt: null, since: null, source: null, isFirst: false };
  }
  const record = lastOf(reading.object, "_remediation"), failedAt = lastOf(reading.object, "failed_at");
  const inside = record?.kind === "object" ? record : null;
  const cycle = inside ? asNumber(lastOf(inside, "cycle")) : NaN,
    reason = inside ? lastOf(inside, "reason") : undefined,
    source = inside ? lastOf(inside, "source") : undefined;
  return {
    since: inside ? wholeOf(lastOf(inside, "since")) : null,
    source: source?.kind === "string" ? source.text : null,
    isFirst: inside !== null && count(inside, "failures") + count(inside, "excused") + count(inside, "sheds") === 0,
    cycle: Number.isNaN(cycle) ? null : cycle,
    reason: reason?.kind === "string" ? reason.text : null,
    failedAt: failedAt?.kind === "string" ? failedAt.text : null,
  };
}

/** Top-level members that this service or a consumer adds. */
const STAMPS = ["_remediation", "failed_at", "_retry_count", "shedding_reason"];

/**
 * The bytes of a message without its stamps and these other members, for the oracle. Opens an envelope (three members, the payload
 * last) first. An unreadable message counts unchanged.
 */
export function coreOf(bytes: Uint8Array, others: readonly string[] = []): string {
  const reading = read(bytes);
  if ("problem" in reading) return `bytes ${bytes.toHex()}`;
  const { members } = reading.object;
  const names = members.map(({ name }) => name).join(), payload = members[2]?.value;
  if (payload?.kind === "string") {
    if (names === "failed_at,_remediation,payload") return coreOf(encode(payload.text), others);
    if (names === "failed_at,_remediation,payload_b64") return coreOf(Uint8Array.fromBase64(payload.text), others);
  }
  return `object ${new TextDecoder().decode(splice(reading, { cut: [...STAMPS, ...others], append: "" }))}`;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The brake of the reference simulation: takes the returned messages and gives the limit of the next cycle. */
export class ModelBrake {
  #suspect = false;
  #distance = 1;
  #wait = 0;
  #allowance: number | null = null;
  readonly #tallies = new Map<
    number,
    { replayed: number; firsts: number; back: number; firstsBack: number; bad: boolean }
  >();

  /** Ends a cycle. */
  replayed(cycle: number, { replayed, firsts }: { replayed: number; firsts: number }): void {
    if (replayed > 0) this.#tallies.set(cycle, { replayed, firsts, back: 0, firstsBack: 0, bad: false });
  }

  /** Counts a returned message with our stamp of that cycle. */
  returned(cycle: number, isFirst: boolean): void {
    const tally = this.#tallies.get(cycle);
    if (!tally || tally.back === tally.replayed) return;
    tally.back++;
    if (isFirst && tally.firstsBack < tally.firsts) tally.firstsBack++;
  }

  /** `last`: the last cycle and whether it replayed messages; `batch` 0: all. */
  next({ last, depth, batch }: { last: number; depth: number; batch: number }) {
    const bad = [...this.#tallies.values()].filter(({ replayed, firsts, back, firstsBack, bad }) =>
      !bad && back >= 0.9 * replayed && firstsBack >= 0.9 * firsts
    );
    for (const tally of bad) tally.bad = true;
    const isTroubled = bad.length > 0;
    if (this.#wait === 0 && isTroubled) {
      this.#distance = this.#suspect ? Math.min(this.#distance * 2, 3) : 1;
      this.#suspect = true;
      this.#wait = this.#distance - 1;
      this.#allowance = Math.max(1, Math.ceil(0.02 * depth));
    } else if (this.#wait === 0 && this.#tallies.has(last)) {
      if (this.#suspect) {
        this.#suspect = false;
        this.#distance = 1;
        this.#allowance = Math.max(4, (this.#allowance ?? 1) * 4);
      } else if (this.#allowance !== null) this.#allowance *= 4;
    }
    if (this.#wait > 0) {
      this.#wait--;
      return { isTroubled, budget: 0, isCareful: true };
    }
    const full = batch === 0 ? depth : Math.min(batch, depth);
    const budget = Math.min(full, this.#allowance ?? Infinity);
    if (!this.#suspect && this.#allowance !== null && this.#allowance >= Math.max(batch, depth)) this.#allowance = null;
    return { isTroubled, budget, isCareful: this.#allowance !== null };
  }
}
