/**
 * Syntax of the query language: text to tree, and back. Knows nothing of fields and values. Pure.
 *
 * ```
 * query     = [ either ]
 * either    = both { "OR" both }
 * both      = negated { ["AND"] negated }
 * negated   = ( "NOT" | "-" ) negated | "(" either ")" | text | field ":" value
 * value     = text | ( ">" | ">=" | "<" | "<=" ) text | ( "[" | "{" ) text "TO" text ( "]" | "}" )
 * text      = word | '"' … '"'       "\" takes the next character literally; "*" in a word matches any characters
 * field     = text                   a word is the path of a member, its names joined by "."
 * ```
 *
 * The npm parsers were tried (docs/decisions/query-language.md).
 */

import { MAX_PATH_NAMES, type MemberPath } from "./member_path.ts";

/** Maximum length of a query, in UTF-16 units. */
export const MAX_QUERY_CHARACTERS = 2_000;
/** Maximum nesting of parentheses and negations. */
export const MAX_QUERY_DEPTH = 50;
/** Maximum number of conditions. Each is evaluated for every message. */
export const MAX_QUERY_TERMS = 100;

/** A text of a query as pieces between its wildcards `*`: one piece if it has none. */
export type Pattern = readonly string[];

/** A field: the path of a member, or one of ours. A quoted name is always a top-level member, even if it has dots or is one of ours. */
export interface FieldName {
  readonly path: MemberPath;
  readonly quoted: boolean;
}

/** What a field is compared with. */
export type Operand =
  | { readonly kind: "is"; readonly pattern: Pattern }
  | { readonly kind: "compare"; readonly operator: Operator; readonly text: string }
  | {
    readonly kind: "range";
    readonly from: string;
    readonly to: string;
    readonly includesFrom: boolean;
    readonly includesTo: boolean;
  };

/** Comparison with a number, duration, size or time. */
export type Operator = ">" | ">=" | "<" | "<=";

/** A condition on one field, or on the text of the message if `field` is null. */
export interface QueryTerm {
  readonly kind: "term";
  /** Position of its first character, from 1. */
  readonly position: number;
  readonly field: FieldName | null;
  readonly operand: Operand;
}

/** A parsed query. `all` matches every message. */
export type QueryNode =
  | { readonly kind: "all" }
  | { readonly kind: "and" | "or"; readonly of: readonly QueryNode[] }
  | { readonly kind: "not"; readonly of: QueryNode }
  | QueryTerm;

/** Something that a query must not contain. */
export interface QueryProblem {
  /** Position of the character, from 1. */
  readonly position: number;
  /** What was found, quoted and shortened. */
  readonly found: string;
  /** What is wanted instead. */
  readonly wanted: string;
}

/** Parses a query. Never throws; linear in its length. Returns every problem that it finds. */
export function parseQuery(
  text: string,
): { readonly node: QueryNode; readonly problems: readonly QueryProblem[] } {
  if (text.length > MAX_QUERY_CHARACTERS) {
    const found = `${text.length} characters`, wanted = `at most ${MAX_QUERY_CHARACTERS}`;
    return { node: { kind: "all" }, problems: [{ position: MAX_QUERY_CHARACTERS + 1, found, wanted }] };
  }
  const parser = new Parser(text);
  return { node: parser.parse(), problems: parser.problems };
}

/** Prints a tree as a query that parses to the same tree. */
export function printQuery(node: QueryNode): string {
  switch (node.kind) {
    case "all":
      return "";
    case "and":
      return node.of.map((one) => one.kind === "or" ? `(${printQuery(one)})` : printQuery(one)).join(" AND ");
    case "or":
      return node.of.map(printQuery).join(" OR ");
    case "not":
      return node.of.kind === "and" || node.of.kind === "or"
        ? `NOT (${printQuery(node.of)})`
        : `NOT ${printQuery(node.of)}`;
    case "term":
      return printTerm(node);
  }
}

/** The text of a pattern as a person would write it; quoted where it must be. */
export function printPattern(pattern: Pattern): string {
  if (pattern.length === 1) return printText(pattern[0]!);
  return pattern.map((piece) => piece.replace(/[\s()"\\*:[\]{}<>-]/g, "\\$&")).join("*");
}

function printTerm({ field, operand }: QueryTerm): string {
  const name = field === null ? "" : `${printField(field)}:`;
  switch (operand.kind) {
    case "is":
      return name + printPattern(operand.pattern);
    case "compare":
      return `${name}${operand.operator}${printText(operand.text)}`;
    case "range": {
      const { from, to, includesFrom, includesTo } = operand;
      const [open, close] = [includesFrom ? "[" : "{", includesTo ? "]" : "}"];
      return `${name}${open}${printEnd(from)} TO ${printEnd(to)}${close}`;
    }
  }
}

/** A single name with a dot is quoted: then it is no path. */
function printField({ path, quoted }: FieldName): string {
  const [name = ""] = path;
  if (path.length > 1) return path.map((one) => one.replace(/[^\p{L}\p{N}_/@#%&=+,;-]|^-/gu, "\\$&")).join(".");
  return quoted || name.includes(".") ? quote(name) : printText(name);
}

function printEnd(text: string): string {
  return text === "*" ? text : printText(text);
}

/** Words that mean something else when they are not quoted. */
const KEYWORDS = ["AND", "OR", "NOT", "TO"];

function printText(text: string): string {
  return /^[\p{L}\p{N}_./@#%&=+,;][\p{L}\p{N}_./@#%&=+,;-]*$/u.test(text) && !KEYWORDS.includes(text)
    ? text
    : quote(text);
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

const SPACE = /\s/;
const MOST_SHOWN = 40;

/** A word or quoted text as it was read. */
interface ReadText {
  readonly pattern: Pattern;
  /** Its parts between dots. */
  readonly path: MemberPath;
  readonly quoted: boolean;
}

class Parser {
  readonly problems: QueryProblem[] = [];
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #terms = 0;
  #isStopped = false;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): QueryNode {
    const all: QueryNode[] = [];
    for (;;) {
      this.#skipSpace();
      if (this.#isAtEnd()) break;
      const before = this.#at;
      const node = this.#either();
      if (node !== null) all.push(node);
      if (this.#peek() === ")") {
        this.#problem(this.#at, "an opening parenthesis before it");
        this.#at++;
      } else if (this.#at === before) this.#at++;
    }
    return join("and", all) ?? { kind: "all" };
  }

  #either(): QueryNode | null {
    const parts: QueryNode[] = [];
    do {
      const part = this.#both();
      if (part !== null) parts.push(part);
    } while (this.#takeKeyword("OR"));
    return join("or", parts);
  }

  #both(): QueryNode | null {
    const parts: QueryNode[] = [];
    let isWanted = true;
    for (;;) {
      this.#skipSpace();
      if (this.#isAtEnd() || this.#peek() === ")" || this.#isKeyword("OR") || this.#isKeyword("AND")) {
        if (isWanted) this.#problem(this.#at, "a condition");
      } else {
        const part = this.#negated();
        if (part !== null) parts.push(part);
      }
      if (this.#takeKeyword("AND")) isWanted = true;
      else {
        this.#skipSpace();
        if (this.#isAtEnd() || this.#peek() === ")" || this.#isKeyword("OR")) return join("and", parts);
        isWanted = false;
      }
    }
  }

  #negated(): QueryNode | null {
    this.#skipSpace();
    const isMinus = this.#peek() === "-";
    if (isMinus) this.#at++;
    if (isMinus || this.#takeKeyword("NOT")) {
      return this.#nested(() => {
        const next = this.#peek();
        if (!isMinus) this.#skipSpace();
        else if (next !== undefined && SPACE.test(next)) {
          this.#problem(this.#at - 1, 'a condition right behind it; quote a dash: "-"');
          return null;
        }
        if (this.#isAtEnd() || this.#peek() === ")" || this.#isKeyword("AND") || this.#isKeyword("OR")) {
          this.#problem(this.#at, isMinus ? 'a condition after "-"; quote a dash: "-"' : "a condition after NOT");
          return null;
        }
        const of = this.#negated();
        return of && { kind: "not", of };
      });
    }
    if (this.#peek() !== "(") return this.#term();
    const open = this.#at++;
    return this.#nested(() => {
      const inside = this.#either();
      this.#skipSpace();
      if (this.#peek() === ")") this.#at++;
      else this.#problem(open, "a closing parenthesis for it");
      return inside;
    });
  }

  /** Runs one level deeper. Too deep: one problem, and the rest of the query is not read. */
  #nested(read: () => QueryNode | null): QueryNode | null {
    if (this.#depth === MAX_QUERY_DEPTH) {
      return this.#stop(`at most ${MAX_QUERY_DEPTH} parentheses and negations inside each other`);
    }
    this.#depth++;
    const node = read();
    this.#depth--;
    return node;
  }

  #term(): QueryNode | null {
    const start = this.#at;
    if (++this.#terms > MAX_QUERY_TERMS) {
      return this.#stop(`at most ${MAX_QUERY_TERMS} conditions`);
    }
    const first = this.#readText("field");
    if (this.#peek() !== ":") {
      if (!first.quoted && first.pattern.length === 1 && first.pattern[0] === "") {
        this.#problem(this.#at, "a condition");
        this.#at++;
        return null;
      }
      return { kind: "term", position: start + 1, field: null, operand: { kind: "is", pattern: first.pattern } };
    }
    const { path, quoted } = first;
    if (first.pattern.length > 1 || (path.length === 1 && path[0] === "" && !quoted)) {
      this.#problem(start, "a field's name before the colon, without *; quote a text with a colon");
    } else if (path.length > MAX_PATH_NAMES || (path.includes("") && !quoted)) {
      this.#problem(start, `at most ${MAX_PATH_NAMES} names with a dot between them; quote a name with dots`);
    }
    this.#at++;
    const operand = this.#operand(start);
    return operand && { kind: "term", position: start + 1, field: { path, quoted }, operand };
  }

  #operand(start: number): Operand | null {
    const next = this.#peek();
    if (next === "[" || next === "{") return this.#range(start);
    if (next === ">" || next === "<") {
      this.#at++;
      const isEqual = this.#peek() === "=";
      if (isEqual) this.#at++;
      const operator = `${next}${isEqual ? "=" : ""}` as Operator;
      const text = this.#plain(this.#readText("value"), `a value after ${operator}`, start);
      return text === null ? null : { kind: "compare", operator, text };
    }
    if (next === "(") {
      this.#problem(this.#at, "one value; write field:a OR field:b for several");
      return null;
    }
    const { pattern, quoted } = this.#readText("value");
    if (!quoted && pattern.length === 1 && pattern[0] === "") {
      this.#problem(start, 'a value after the colon; quote a text with a colon: "error:"');
      return null;
    }
    return { kind: "is", pattern };
  }

  #range(start: number): Operand | null {
    const includesFrom = this.#text[this.#at++] === "[";
    const from = this.#rangeEnd();
    const hasTo = this.#takeKeyword("TO");
    const to = hasTo ? this.#rangeEnd() : "";
    this.#skipSpace();
    const close = this.#peek();
    if (!hasTo || from === "" || to === "" || (close !== "]" && close !== "}")) {
      this.#problem(start, "a range such as [5m TO 2h]; * leaves an end open");
      return null;
    }
    this.#at++;
    return { kind: "range", from, to, includesFrom, includesTo: close === "]" };
  }

  #rangeEnd(): string {
    this.#skipSpace();
    const { pattern } = this.#readText("end");
    return pattern.join("*");
  }

  #plain({ pattern, quoted }: ReadText, wanted: string, start: number): string | null {
    if (pattern.length === 1 && (quoted || pattern[0] !== "")) return pattern[0]!;
    this.#problem(start, `${wanted}, without *`);
    return null;
  }

  /** Reads a word or a quoted text; an empty pattern if there is none. A word ends before what its place gives a meaning. */
  #readText(place: "field" | "value" | "end"): ReadText {
    if (this.#peek() === '"') {
      const text = this.#quoted();
      return { pattern: [text], path: [text], quoted: true };
    }
    const pieces: string[] = [], names: string[] = [];
    let piece = "", name = "";
    while (!this.#isAtEnd()) {
      const character = this.#text[this.#at]!;
      if (SPACE.test(character) || character === "(" || character === ")" || character === '"') break;
      if (place === "field" && character === ":") break;
      if (place === "end" && (character === "]" || character === "}")) break;
      this.#at++;
      if (character === "*") {
        // Several in a row are one.
        if (piece !== "" || pieces.length === 0) pieces.push(piece);
        piece = "";
        continue;
      }
      const isEscape = character === "\\" && !this.#isAtEnd(), literal = isEscape ? this.#text[this.#at++]! : character;
      piece += literal;
      if (character === ".") {
        names.push(name);
        name = "";
      } else name += literal;
    }
    return { pattern: [...pieces, piece], path: [...names, name], quoted: false };
  }

  #quoted(): string {
    const open = this.#at++;
    let text = "";
    while (!this.#isAtEnd()) {
      const character = this.#text[this.#at++]!;
      if (character === '"') return text;
      text += character === "\\" && !this.#isAtEnd() ? this.#text[this.#at++] : character;
    }
    this.#problem(open, "a closing quote for it");
    return text;
  }

  #isKeyword(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    const next = this.#text[this.#at + word.length];
    return next === undefined || SPACE.test(next) || next === "(" || next === ")" || next === '"';
  }

  #takeKeyword(word: string): boolean {
    this.#skipSpace();
    if (!this.#isKeyword(word)) return false;
    this.#at += word.length;
    return true;
  }

  #skipSpace(): void {
    while (!this.#isAtEnd() && SPACE.test(this.#text[this.#at]!)) this.#at++;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Does not read the rest of the query. */
  #stop(wanted: string): null {
    this.#problem(this.#at, wanted);
    this.#isStopped = true;
    this.#at = this.#text.length;
    return null;
  }

  #problem(at: number, wanted: string): void {
    // What is missing may be in the rest.
    if (this.#isStopped) return;
    const rest = this.#text.slice(at, at + MOST_SHOWN);
    const found = rest === "" ? "the end" : JSON.stringify(/^\S+/.exec(rest)?.[0] ?? rest);
    this.problems.push({ position: at + 1, found, wanted });
  }
}

/** One node for several; flattens those of the same kind, so that printing and parsing again gives the same tree. */
function join(kind: "and" | "or", parts: readonly QueryNode[]): QueryNode | null {
  if (parts.length <= 1) return parts[0] ?? null;
  return { kind, of: parts.flatMap((part) => part.kind === kind ? part.of : [part]) };
}
