/**
 * Reads handwritten YAML 1.2, which includes JSON. Pure and bounded. It rejects surprising syntax: anchors and aliases
 * (a small file could expand to gigabytes), tags, directives (`%YAML 1.1` would make `no` a boolean), a second
 * document, and names that are not strings. Numbers are decimal; every word except `true`, `false` and `null` is a
 * string.
 */
import {
  Composer,
  CST,
  type Document,
  type ErrorCode,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Pair,
  type ParsedNode,
  Parser,
  type ScalarTag,
  type Tags,
} from "yaml";

/** Path to a value: member names, and list indexes from 0. */
export type YamlPath = readonly (string | number)[];

/** A syntax problem. Quotes nothing from the text, which may hold secrets. */
export interface YamlProblem {
  readonly text: string;
  /** Offset in the text. */
  readonly offset: number;
}

/** A value and the positions of its parts, or a problem; `null` if there is only white space and comments. */
export type YamlText =
  | { readonly ok: true; readonly value: unknown; readonly places: YamlPlaces }
  | { readonly ok: false; readonly problem: YamlProblem | null };

/** Positions of a value's parts in the text. */
export interface YamlPlaces {
  /**
   * Offset of a member's name or a list item. If the path does not exist, the offset of its nearest existing parent.
   */
  offsetOf(path: YamlPath): number;
  /** Finds duplicate member names in objects up to `levels` deep (1: only the outermost object). A list is a level too. */
  findDuplicates(levels: number): readonly { readonly path: YamlPath; readonly offset: number }[];
}

/** Maximum nesting, because the conversion to values recurses. */
const MAX_DEPTH = 64;
/** Maximum number of tokens, including blanks and line ends: at most half a second of work. */
const MAX_LEXEMES = 200_000;
/** Characters that YAML forbids. The decoder replaces invalid UTF-8 with U+FFFD. */
// deno-lint-ignore no-control-regex
const NO_TEXT = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffd]/;
const REFUSED: Partial<Record<CST.TokenType, string>> = {
  "anchor": "anchors (&name) are not allowed: write the value where it is used",
  "alias": "aliases (*name) are not allowed: write the value where it is used",
  "tag": "tags (!name) are not allowed",
  "directive-line": "directives (%) are not allowed",
};
const SYNTAX: Partial<Record<ErrorCode, string>> = {
  BAD_INDENT: "inconsistent indentation",
  TAB_AS_INDENT: "a tab cannot indent: use spaces",
  MISSING_CHAR: "missing bracket, quote, comma or colon",
  UNEXPECTED_TOKEN: "unexpected token",
  BLOCK_AS_IMPLICIT_KEY: "a second colon on one line: quote a value that contains one",
  MULTILINE_IMPLICIT_KEY: "a name and its colon must be on one line",
  KEY_OVER_1024_CHARS: "a name is longer than 1024 characters",
  BAD_SCALAR_START: "a string that begins with this character needs quotes",
  BAD_DQ_ESCAPE: "invalid escape in a quoted string",
  NON_STRING_KEY: "a name must be a string",
};

/** Parses a text. Never throws. */
export function readYaml(text: string): YamlText {
  const notText = text.search(NO_TEXT);
  if (notText >= 0) return refuse("invalid UTF-8 text", notText);
  const parsed = parseTokens(text);
  if (!Array.isArray(parsed)) return { ok: false, problem: parsed };
  const [document, second] = new Composer({
    ...{ version: "1.2", schema: "core", customTags: asInJson, stringKeys: true, merge: false },
    // `findDuplicates` looks for duplicate names in one pass; the library's check compares every pair.
    ...{ uniqueKeys: false, prettyErrors: false, logLevel: "silent" },
  }).compose(parsed, true, text.length);
  // Report a name that is not a string last: it is often a consequence of another error.
  const error = document!.errors.find(({ code }) => code !== "NON_STRING_KEY") ?? document!.errors[0];
  if (error !== undefined) return { ok: false, problem: describe(error, text) };
  if (second !== undefined) return refuse("a second document begins here: only one is allowed", second.range[0]);
  if (isEmpty(document!)) return { ok: false, problem: null };
  return { ok: true, value: document!.toJS({ maxAliasCount: 0 }), places: new Places(document!) };
}

/** Describes an offset as line and column, both from 1 as in editors. */
export function describePlace(text: string, offset: number): string {
  let line = 1, start = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", start)) {
    line++;
    start = at + 1;
  }
  return `line ${line}, column ${offset - start + 1}`;
}

function refuse(text: string, offset: number): YamlText {
  return { ok: false, problem: { text, offset } };
}

function parseTokens(text: string): CST.Token[] | YamlProblem {
  const parser = new Parser(), tokens: CST.Token[] = [];
  let count = 0, isScalarNext = false;
  for (const lexeme of new Lexer().lex(text)) {
    const refused = isScalarNext ? undefined : REFUSED[CST.tokenType(lexeme)!];
    if (refused !== undefined) return { text: refused, offset: parser.offset };
    isScalarNext = lexeme === CST.SCALAR;
    tokens.push(...parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) {
      return { text: `nested deeper than ${MAX_DEPTH} levels`, offset: parser.offset };
    }
    if (++count > MAX_LEXEMES) return { text: `more than ${MAX_LEXEMES} tokens`, offset: parser.offset };
  }
  tokens.push(...parser.end());
  return tokens;
}

/**
 * Drops hexadecimal, octal and infinite numbers. They become strings, which validation rejects if a number is required.
 */
function asInJson(tags: Tags): Tags {
  return tags.filter((tag) => {
    if (typeof tag === "string") return true;
    const { format, test } = tag as ScalarTag;
    return format !== "HEX" && format !== "OCT" && !test?.test(".inf");
  });
}

function describe({ code, pos: [offset] }: { code: ErrorCode; pos: [number, number] }, text: string): YamlProblem {
  if (offset >= text.trimEnd().length) return { text: "unexpected end of file", offset: text.trimEnd().length };
  return { text: SYNTAX[code] ?? "invalid YAML", offset };
}

function isEmpty({ contents }: Document.Parsed): boolean {
  return contents === null || (isScalar(contents) && contents.value === null && !contents.source);
}

class Places implements YamlPlaces {
  readonly #root: ParsedNode | null;

  constructor({ contents }: Document.Parsed) {
    this.#root = contents;
  }

  offsetOf(path: YamlPath): number {
    let node: ParsedNode | null | undefined = this.#root, offset = node?.range[0] ?? 0;
    for (const step of path) {
      if (isMap<ParsedNode, ParsedNode | null>(node)) {
        const pair: Pair<ParsedNode, ParsedNode | null> | undefined = node.items.find(({ key }) =>
          isScalar(key) && key.value === step
        );
        if (pair === undefined) break;
        offset = pair.key.range[0];
        node = pair.value;
      } else if (isSeq<ParsedNode>(node)) {
        node = node.items[Number(step)];
        offset = node?.range[0] ?? offset;
      } else break;
    }
    return offset;
  }

  findDuplicates(levels: number): readonly { readonly path: YamlPath; readonly offset: number }[] {
    return duplicatesIn(this.#root, { levels, path: [] });
  }
}

function duplicatesIn(
  node: ParsedNode | null,
  { levels, path }: { levels: number; path: YamlPath },
): { path: YamlPath; offset: number }[] {
  if (levels === 0) return [];
  if (isSeq<ParsedNode>(node)) {
    return node.items.flatMap((item, at) => duplicatesIn(item, { levels: levels - 1, path: [...path, at] }));
  }
  if (!isMap<ParsedNode, ParsedNode | null>(node)) return [];
  const seen = new Map<string, number>();
  const found: { path: YamlPath; offset: number }[] = [];
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : "";
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    if (count === 2) found.push({ path: [...path, name], offset: key.range[0] });
    found.push(...duplicatesIn(value, { levels: levels - 1, path: [...path, name] }));
  }
  return found;
}
