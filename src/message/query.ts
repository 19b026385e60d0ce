/**
 * The query language of search, selections and jobs: which messages match. One language in API, CLI and console. Pure.
 *
 * 1. Fields: `id group reason age size failures host severity source`, and any member by its path: `headers.retries:>3`. A name in quotes
 *    is always a top-level member: `"age":7`, `"a.b":7`.
 * 2. A value must equal the whole field, ignoring case; `*` matches any characters. A text without a field must occur in the
 *    masked text of the message, so that no search finds a secret.
 * 3. No regular expressions: evaluation is linear in the length of the message.
 */
import { parseEventTime } from "./event_time.ts";
import { groupId } from "./group.ts";
import { formatMemberPath, type MemberRef, toRef } from "./member_path.ts";
import type { MessageView } from "./message_view.ts";
import { fold, hasInOrder } from "./text_search.ts";
import {
  type FieldName,
  MAX_QUERY_CHARACTERS,
  type Operand,
  type Operator,
  parseQuery,
  type Pattern,
  printQuery,
  type QueryNode,
  type QueryProblem,
  type QueryTerm,
} from "./query_syntax.ts";

/** What a query reads of a message. */
export type QuerySubject = Pick<
  MessageView,
  "id" | "source" | "groupText" | "reason" | "ageMs" | "sizeBytes" | "failures" | "member" | "holds"
>;

/** A query that can be evaluated. */
export interface CompiledQuery {
  readonly ok: true;
  /** Whether a message matches. Pure; never throws unless the subject does. */
  matches(subject: QuerySubject): boolean;
  /** Names of the fields and members that it reads, sorted; `text` for a text without a field. */
  readonly fields: readonly string[];
  /** The query in one form; compiles to the same. Empty for the query that matches all. */
  readonly canonical: string;
}

/** A query that cannot be used, with every problem. */
export interface RejectedQuery {
  readonly ok: false;
  readonly problems: readonly QueryProblem[];
}

/** Fields with a meaning of their own. Other names are members. */
export const QUERY_FIELDS = [
  ...["id", "group", "reason", "age", "size", "failures"],
  ...["host", "severity", "source"],
] as const;

type Matches = (subject: QuerySubject) => boolean;

/** Compiles a query; an empty one matches every message. Never throws. */
export function compileQuery(text: string): CompiledQuery | RejectedQuery {
  const { node, problems: inSyntax } = parseQuery(text);
  const compiler = new Compiler();
  const matches = compiler.compile(node);
  const problems = [...inSyntax, ...compiler.problems].sort((a, b) => a.position - b.position);
  if (problems.length > 0) return { ok: false, problems };
  const canonical = printQuery(node);
  // A job keeps the canonical text, which quotes and brackets may make longer, and compiles it again.
  if (canonical.length > MAX_QUERY_CHARACTERS) {
    const found = `${canonical.length} characters, written out`, wanted = `at most ${MAX_QUERY_CHARACTERS}`;
    return { ok: false, problems: [{ position: text.length + 1, found, wanted }] };
  }
  return { ok: true, matches, fields: [...compiler.fields].sort(), canonical };
}

/** One line a problem, for errors. */
export function describeQueryProblem({ position, found, wanted }: QueryProblem): string {
  return `query, character ${position}: found ${found}, want ${wanted}`;
}

/** A field with a number: how its values are written, and how it is read. */
interface Measure {
  /** Returns the number; undefined if the text is not one. */
  parse(text: string): number | undefined;
  readonly wanted: string;
  read(subject: QuerySubject): number | null;
}

const MEASURES: Readonly<Record<string, Measure>> = {
  age: {
    parse: (text) => parseQuantity(text, { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }),
    wanted: "a duration such as 90s, 5m, 2h or 7d",
    read: ({ ageMs }) => ageMs,
  },
  size: {
    parse: (text) => parseQuantity(text, { "": 1, k: 1_024, M: 1_048_576 }),
    wanted: "a size in bytes such as 400, 10k or 2M",
    read: ({ sizeBytes }) => sizeBytes,
  },
  failures: {
    parse: (text) => /^\d{1,9}$/.test(text) ? Number(text) : undefined,
    wanted: "a whole number",
    read: ({ failures }) => failures,
  },
};

/** Fields that are read as text; `host` is the first of these members that is there. */
const TEXTS: Readonly<Record<string, (subject: QuerySubject) => string | null | undefined>> = {
  id: ({ id }) => id,
  group: (subject) => groupId(subject),
  reason: ({ reason }) => reason,
  host: (subject) => textOf(subject.member("hostname") ?? subject.member("host")),
};

class Compiler {
  readonly problems: QueryProblem[] = [];
  readonly fields = new Set<string>();

  compile(node: QueryNode): Matches {
    switch (node.kind) {
      case "all":
        return () => true;
      case "and": {
        const all = node.of.map((one) => this.compile(one));
        return (subject) => all.every((matches) => matches(subject));
      }
      case "or": {
        const any = node.of.map((one) => this.compile(one));
        return (subject) => any.some((matches) => matches(subject));
      }
      case "not": {
        const matches = this.compile(node.of);
        return (subject) => !matches(subject);
      }
      case "term":
        return this.#term(node);
    }
  }

  #term(term: QueryTerm): Matches {
    const { field, operand } = term;
    if (field === null) return this.#text(operand);
    this.fields.add(formatMemberPath(field.path));
    const name = ownName(field), measure = ownOf(MEASURES, name);
    if (measure !== undefined) return this.#measured(term, measure);
    const read = ownOf(TEXTS, name) ?? readerOf(toRef(field.path));
    if (operand.kind === "is") {
      const isMatch = matchWhole(operand.pattern);
      return (subject) => {
        const text = read(subject);
        return text !== null && text !== undefined && isMatch(text);
      };
    }
    if (Object.hasOwn(TEXTS, name)) {
      return this.#refuse(term, `a text after ${name}:; only numbers and times can be compared`);
    }
    return this.#compared(term, toRef(field.path));
  }

  /** A text anywhere in the message. */
  #text(operand: Operand): Matches {
    this.fields.add("text");
    const pieces = operand.kind === "is" ? operand.pattern.map(fold).filter((piece) => piece !== "") : [];
    return pieces.length === 0 ? () => true : (subject) => subject.holds(pieces);
  }

  #measured(term: QueryTerm, { parse, wanted, read }: Measure): Matches {
    const { operand, field } = term;
    if (operand.kind === "is") {
      const [text] = operand.pattern;
      // `age:*`: it has one.
      if (isAnything(operand.pattern)) return (subject) => read(subject) !== null;
      const value = operand.pattern.length === 1 ? parse(text!) : undefined;
      if (value === undefined) return this.#refuse(term, `${wanted}, as in ${ownName(field!)}:>…`);
      return (subject) => read(subject) === value;
    }
    const test = testOf(operand, parse);
    if (test === undefined) return this.#refuse(term, wanted);
    return (subject) => {
      const value = read(subject);
      return value !== null && test(value);
    };
  }

  /** A member against numbers or times. */
  #compared(term: QueryTerm, ref: MemberRef): Matches {
    const operand = term.operand as Exclude<Operand, { kind: "is" }>;
    const asNumber = testOf(operand, parseNumber);
    if (asNumber !== undefined) {
      return (subject) => {
        const value = toNumber(subject.member(ref));
        return value !== undefined && asNumber(value);
      };
    }
    const asTime = testOf(operand, parseTime);
    if (asTime === undefined) return this.#refuse(term, "a number, or a time such as 2026-11-29T20:00:00Z");
    return (subject) => {
      const value = toTime(subject.member(ref));
      return value !== undefined && asTime(value);
    };
  }

  #refuse({ position, field, operand }: QueryTerm, wanted: string): Matches {
    const found = JSON.stringify(printQuery({ kind: "term", position, field, operand }).slice(0, 40));
    this.problems.push({ position, found, wanted });
    return () => false;
  }
}

function ownOf<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The name of a field that may be one of ours; empty: it is a member. */
function ownName({ path, quoted }: FieldName): string {
  return quoted || path.length > 1 ? "" : path[0]!;
}

function readerOf(ref: MemberRef): (subject: QuerySubject) => string | null | undefined {
  return (subject) => textOf(subject.member(ref));
}

/** A member as text; JSON's `null` is the text `null`. */
function textOf(value: ReturnType<QuerySubject["member"]>): string | undefined {
  return value === undefined ? undefined : String(value);
}

/** The test of a comparison or range; undefined if a text is not such a number. */
function testOf(
  operand: Exclude<Operand, { kind: "is" }>,
  parse: (text: string) => number | undefined,
): ((value: number) => boolean) | undefined {
  if (operand.kind === "compare") {
    const bound = parse(operand.text);
    return bound === undefined ? undefined : comparison(operand.operator, bound);
  }
  const { from, to, includesFrom, includesTo } = operand;
  const low = from === "*" ? -Infinity : parse(from), high = to === "*" ? Infinity : parse(to);
  if (low === undefined || high === undefined) return undefined;
  const isAbove = comparison(includesFrom || from === "*" ? ">=" : ">", low);
  const isBelow = comparison(includesTo || to === "*" ? "<=" : "<", high);
  return (value) => isAbove(value) && isBelow(value);
}

function comparison(operator: Operator, bound: number): (value: number) => boolean {
  switch (operator) {
    case ">":
      return (value) => value > bound;
    case ">=":
      return (value) => value >= bound;
    case "<":
      return (value) => value < bound;
    case "<=":
      return (value) => value <= bound;
  }
}

/** A number with a unit, e.g. `1.5h`; undefined without a known unit. */
function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,12}(?:\.\d{1,3})?)([A-Za-z]?)$/.exec(text) ?? [];
  const factor = ownOf(units, unit) ?? ownOf(units, unit.toLowerCase()) ?? ownOf(units, unit.toUpperCase());
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

function parseNumber(text: string): number | undefined {
  return /^[+-]?\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : undefined;
}

/** A time with its date and year: nothing here depends on the clock. */
function parseTime(text: string): number | undefined {
  return /^\d{4}-\d\d-\d\d/.test(text) ? parseEventTime(text, 0) : undefined;
}

function toNumber(value: ReturnType<QuerySubject["member"]>): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" ? parseNumber(value) : undefined;
}

function toTime(value: ReturnType<QuerySubject["member"]>): number | undefined {
  // Starts with a digit: a time without a year would depend on the clock.
  const isTime = typeof value === "number" || (typeof value === "string" && /^\s*\d/.test(value));
  return isTime ? parseEventTime(value, 0) : undefined;
}

function isAnything(pattern: Pattern): boolean {
  return pattern.length > 1 && pattern.every((piece) => piece === "");
}

/** Whether a whole text matches a pattern. Linear: each piece is taken at its first place. */
function matchWhole(pattern: Pattern): (text: string) => boolean {
  const pieces = pattern.map(fold), first = pieces[0]!, last = pieces.at(-1)!;
  if (pieces.length === 1) return (text) => fold(text) === first;
  const middle = pieces.slice(1, -1).filter((piece) => piece !== "");
  return (text) => {
    const folded = fold(text);
    if (folded.length < first.length + last.length) return false;
    return folded.startsWith(first) && folded.endsWith(last) &&
      hasInOrder(folded.slice(first.length, folded.length - last.length), middle);
  };
}
