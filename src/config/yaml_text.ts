/**
 * Reads YAML 1.2, and so JSON, that people write by hand. Pure and bounded. Refused is what may surprise: anchors and aliases (a small
 * file could stand for gigabytes), tags, directives (`%YAML 1.1` would make `no` a boolean), a second document, a name that is no
 * text. Numbers are decimal; every word but `true`, `false` and `null` is a text.
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

/** Where a value stands: names of members, and places in lists from 0. */
export type YamlPath = readonly (string | number)[];

/** What is wrong with a text. Nothing out of the text is in it. */
export interface YamlProblem {
  readonly text: string;
  /** Offset into the text. */
  readonly offset: number;
}

/** A value and where its parts stand, or what is wrong; `null`: nothing is there but white space and comments. */
export type YamlText =
  | { readonly ok: true; readonly value: unknown; readonly places: YamlPlaces }
  | { readonly ok: false; readonly problem: YamlProblem | null };

/** Finds parts of a text. */
export interface YamlPlaces {
  /** Offset at which the part begins: the name of a member, or the item of a list; where there is none, what is around it. */
  offsetOf(path: YamlPath): number;
  /** Members whose name an object holds already, in objects up to `levels` deep (1: the outermost alone). */
  findDuplicates(levels: number): readonly { readonly path: YamlPath; readonly offset: number }[];
}

/** Deepest nesting that is read: the reader of values recurses. */
const MAX_DEPTH = 64;
/** Most words and marks, blanks and line ends between them included: half a second of work at most. */
const MAX_LEXEMES = 200_000;
/** U+FFFD stands for bytes that were not UTF-8. */
// deno-lint-ignore no-control-regex
const NO_TEXT = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffd]/;
const REFUSED: Partial<Record<CST.TokenType, string>> = {
  "anchor": "anchors (&name) are not allowed: write the value where it is used",
  "alias": "aliases (*name) are not allowed: write the value where it is used",
  "tag": "tags (!name) are not allowed",
  "directive-line": "directives (%) are not allowed",
};
const SYNTAX: Partial<Record<ErrorCode, string>> = {
  BAD_INDENT: "the indentation does not fit",
  TAB_AS_INDENT: "a tab cannot indent: use spaces",
  MISSING_CHAR: "a bracket, quote, comma or colon is missing",
  UNEXPECTED_TOKEN: "this does not belong here",
  BLOCK_AS_IMPLICIT_KEY: "this is a second colon on one line: put a value that holds one in quotes",
  MULTILINE_IMPLICIT_KEY: "a name and its colon must be on one line",
  KEY_OVER_1024_CHARS: "a name is longer than 1024 characters",
  BAD_SCALAR_START: "a text that begins like this must be in quotes",
  BAD_DQ_ESCAPE: "a text in quotes cannot hold this escape",
  NON_STRING_KEY: "a name must be a text",
};

/** Reads a text. Never throws. */
export function readYaml(text: string): YamlText {
  const notText = text.search(NO_TEXT);
  if (notText >= 0) return refuse("it is not text in UTF-8", notText);
  const parsed = parseTokens(text);
  if (!Array.isArray(parsed)) return { ok: false, problem: parsed };
  const [document, second] = new Composer({
    ...{ version: "1.2", schema: "core", customTags: asInJson, stringKeys: true, merge: false },
    // Names that stand twice are found here, in one pass: theirs compares each with each.
    ...{ uniqueKeys: false, prettyErrors: false, logLevel: "silent" },
  }).compose(parsed, true, text.length);
  // Whatever comes out of YAML as no text is told last: often it is what another fault makes of the rest.
  const error = document!.errors.find(({ code }) => code !== "NON_STRING_KEY") ?? document!.errors[0];
  if (error !== undefined) return { ok: false, problem: describe(error, text) };
  if (second !== undefined) return refuse("a second document begins here: the file must be one", second.range[0]);
  if (isEmpty(document!)) return { ok: false, problem: null };
  return { ok: true, value: document!.toJS({ maxAliasCount: 0 }), places: new Places(document!) };
}

/** Line and column of an offset, both from 1, as editors count. */
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
    if (parser.stack.length > MAX_DEPTH) return { text: "it is nested too deeply", offset: parser.offset };
    if (++count > MAX_LEXEMES) return { text: "it has more words and marks than are read", offset: parser.offset };
  }
  tokens.push(...parser.end());
  return tokens;
}

/** No hexadecimal and octal numbers, no infinity: as texts they are refused where a number is wanted. */
function asInJson(tags: Tags): Tags {
  return tags.filter((tag) => {
    if (typeof tag === "string") return true;
    const { format, test } = tag as ScalarTag;
    return format !== "HEX" && format !== "OCT" && !test?.test(".inf");
  });
}

function describe({ code, pos: [offset] }: { code: ErrorCode; pos: [number, number] }, text: string): YamlProblem {
  if (offset >= text.trimEnd().length) return { text: "it breaks off before its end", offset: text.trimEnd().length };
  return { text: SYNTAX[code] ?? "this is not YAML", offset };
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

function duplicatesIn(node: ParsedNode | null, { levels, path }: { levels: number; path: YamlPath }) {
  if (levels === 0 || !isMap<ParsedNode, ParsedNode | null>(node)) return [];
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
