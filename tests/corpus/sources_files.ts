/** Hostile sources files that are kept. */
import type { Corpus } from "../../testkit/corpus.ts";

/** The file's text. */
interface File {
  readonly text: () => string;
}

const LISTS = '"dlq": "o:dlq", "target": "o", "dead": "o:dead"';
const file = (members: string): File => ({ text: () => `{"sources": {"orders": {${LISTS}, ${members}}}}` });
const names = (count: number, unit: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => unit(at)).join(",");

/** Files; `null`: nothing is wrong, else how the first problem begins. */
export const SOURCES_FILES: Corpus<RegExp | null, File> = [
  { name: "as it should be", why: "or the others prove nothing", wanted: null, ...file('"maxReplays": 3') },
  {
    name: "arrays 100,000 deep",
    why: "a recursive reader dies",
    wanted: /^\$ \(a list of 1\) is not/,
    text: () => `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  },
  {
    name: "objects 100,000 deep",
    why: "a recursive reader dies",
    wanted: /^a is not known/,
    text: () => `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  },
  {
    name: "100,000 deep in a member",
    why: "what is nested is not shown",
    wanted: /^sources\.orders\.maxReplays \(a list of 1\) is not/,
    text: () => file(`"maxReplays": ${"[".repeat(100_000)}${"]".repeat(100_000)}`).text(),
  },
  {
    name: "opened 100,000 times",
    why: "never closed",
    wanted: /^it is not JSON \(in UTF-8\)/,
    text: () => "[".repeat(100_000),
  },
  {
    name: "100,000 names twice",
    why: "each is a problem, a hundred are told",
    wanted: /^sources\["?\w+"?\]? ?|^sources\.\w+ stands there twice/,
    text: () => `{"sources":{${names(50_000, (at) => `"a${at}":0`)},${names(50_000, (at) => `"a${at}":0`)}}}`,
  },
  {
    name: "a megabyte of line feeds",
    why: "the place is found in one pass",
    wanted: /^it is not JSON \(in UTF-8\) from line 1000001, column 1 on$/,
    text: () => `${"\n".repeat(1_000_000)}x`,
  },
  {
    name: "__proto__ as a source",
    why: "a name like any other, and a bad one",
    wanted: /^sources\.__proto__ is not a source's name/,
    text: () => `{"sources": {"__proto__": {${LISTS}}}}`,
  },
  {
    name: "__proto__ as a member",
    why: "nothing is inherited",
    wanted: /^sources\.orders\.__proto__ is not known/,
    text: () => `{"sources": {"orders": {"__proto__": {${LISTS}}}}}`,
  },
  {
    name: "constructor as a source",
    why: "no built-in one",
    wanted: null,
    text: () => `{"sources": {"constructor": {${LISTS}}}}`,
  },
  {
    name: "toString as a member",
    why: "every object has it",
    wanted: /^sources\.orders\.toString is not known/,
    ...file('"toString": 1'),
  },
  {
    name: "__proto__ as the root's member",
    why: "nothing is inherited",
    wanted: /^__proto__ is not known/,
    text: () => `{"__proto__": {"sources": {}}}`,
  },
  {
    name: "a NUL in a list's name",
    why: "another key for C",
    wanted: /^sources\.orders\.dlq "o\\u0000" is not/,
    text: () => '{"sources": {"orders": {"dlq": "o\\u0000", "target": "o", "dead": "d"}}}',
  },
  {
    name: "a lone surrogate in a list's name",
    why: "would be another key in Redis",
    wanted: /^sources\.orders\.dlq "o\\ud800" is not/,
    text: () => '{"sources": {"orders": {"dlq": "o\\ud800", "target": "o", "dead": "d"}}}',
  },
  {
    name: "bytes that are not UTF-8",
    why: "read as U+FFFD",
    wanted: /^it is not JSON \(in UTF-8\)/,
    text: () => '{"sources": {"\ufffd": {}}}',
  },
  {
    name: "forged log lines as a name",
    why: "what is shown is quoted",
    wanted: /^sources\["a\\r\\n\{\\"level\\".*"\] is not a source's name/,
    text: () => '{"sources": {"a\\r\\n{\\"level\\": 1}\\u2028\\u009b": {}}}',
  },
  {
    name: "forged log lines as the name of a source that shares a list",
    why: "found: shown as it was",
    wanted: /^sources\["\\r\\n"\]/,
    text: () => '{"sources": {"\\r\\n": {"dlq": "a", "target": "a", "dead": "a"}}}',
  },
  {
    name: "a name of 100 KB",
    why: "shown shortened",
    wanted: /^sources\["a{80}…"\] is not a source's name/,
    text: () => `{"sources": {"${"a".repeat(100_000)}": {}}}`,
  },
  {
    name: "a password in a URL",
    why: "never shown",
    wanted: /^sources\.orders\.healthUrl "http:\/\/\[redacted\]@h ost\/" is not/,
    ...file('"healthUrl": "http://me:hidden@h ost/"'),
  },
  {
    name: "a number of 5,000 digits",
    why: "is Infinity",
    wanted: /^sources\.orders\.maxReplays Infinity is not/,
    ...file(`"maxReplays": ${"9".repeat(5_000)}`),
  },
  {
    name: "a number that is nearly 3",
    why: "rounds to 3 in any reader",
    wanted: null,
    ...file('"maxReplays": 2.99999999999999999999'),
  },
  { name: "-0", why: "is no less than 0", wanted: null, ...file('"targetMaxDepth": -0') },
  {
    name: "100,000 members to cut",
    why: "bounded",
    wanted: /^sources\.orders\.cutOnReplay \(a list of 100000\) is not/,
    text: () => file(`"cutOnReplay": [${names(100_000, (at) => `"m${at}"`)}]`).text(),
  },
  {
    name: "100,000 unknown members",
    why: "a hundred are told",
    wanted: /^sources\.orders\.m0 is not known/,
    text: () => file(names(50_000, (at) => `"m${at}":1`)).text(),
  },
];
