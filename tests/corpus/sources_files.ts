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
    wanted: /nested deeper than 64 levels \(line 1, column 65\)$/,
    text: () => `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  },
  {
    name: "objects 100,000 deep",
    why: "a recursive reader dies",
    wanted: /nested deeper than 64 levels/,
    text: () => `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  },
  {
    name: "100,000 deep in a member",
    why: "a recursive reader dies",
    wanted: /nested deeper than 64 levels/,
    text: () => file(`"maxReplays": ${"[".repeat(100_000)}${"]".repeat(100_000)}`).text(),
  },
  {
    name: "opened 100,000 times",
    why: "never closed",
    wanted: /nested deeper than 64 levels/,
    text: () => "[".repeat(100_000),
  },
  {
    name: "10,000 names twice",
    why: "each is a problem, a hundred are told",
    wanted: /^sources\.a0 is defined twice/,
    text: () => `{"sources":{${names(10_000, (at) => `"a${at}":0`)},${names(10_000, (at) => `"a${at}":0`)}}}`,
  },
  {
    name: "a megabyte of line feeds",
    why: "the work is bounded",
    wanted: /more than 200000 tokens \(line \d+, column 1\)$/,
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
    wanted: /^sources\.orders\.__proto__ is unknown/,
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
    wanted: /^sources\.orders\.toString is unknown/,
    ...file('"toString": 1'),
  },
  {
    name: "__proto__ as the root's member",
    why: "nothing is inherited",
    wanted: /^__proto__ is unknown/,
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
    wanted: /^cannot parse as YAML or JSON: invalid UTF-8 text/,
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
    name: "20,000 members to cut",
    why: "bounded",
    wanted: /^sources\.orders\.cutOnReplay \(a list of 20000\) is not/,
    text: () => file(`"cutOnReplay": [${names(20_000, (at) => `"m${at}"`)}]`).text(),
  },
  {
    name: "20,000 unknown members",
    why: "a hundred are told",
    wanted: /^sources\.orders\.m0 is unknown/,
    text: () => file(names(20_000, (at) => `"m${at}":1`)).text(),
  },
  // YAML.
  {
    name: "a billion laughs",
    why: "ten lines of aliases stand for gigabytes",
    wanted: /aliases \(\*name\) are not allowed|anchors \(&name\) are not allowed/,
    text: () =>
      `a0: &a0 [lol]\n${
        names(9, (at) => `a${at + 1}: &a${at + 1} [${names(9, () => `*a${at}`)}]\n`).replaceAll(",a", "a")
      }`,
  },
  {
    name: "an alias to what is around it",
    why: "a circle",
    wanted: /anchors \(&name\) are not allowed/,
    text: () => "sources: &a {orders: *a}",
  },
  {
    name: "a tag that makes objects elsewhere",
    why: "no tag is read",
    wanted: /tags \(!name\) are not allowed/,
    text: () => 'sources: !!js/function "function () {}"',
  },
  {
    name: "a merge key",
    why: "YAML 1.2 has none",
    wanted: /^sources\.orders\["<<"\] is unknown/,
    text: () => "sources: {orders: {<<: {dlq: d}, dlq: d, target: t, dead: x}}",
  },
  {
    name: "__proto__ in YAML",
    why: "nothing is inherited",
    wanted: /^sources\.orders\.__proto__ is unknown/,
    text: () => "sources:\n  orders:\n    __proto__: {dlq: d}\n    dlq: d\n    target: t\n    dead: x\n",
  },
  {
    name: "a directive for YAML 1.1",
    why: "no would be false",
    wanted: /directives \(%\) are not allowed/,
    text: () => "%YAML 1.1\n---\nsources: {}\n",
  },
  {
    name: "50,000 documents",
    why: "one is read",
    wanted: /a second document begins here/,
    text: () => "---\n".repeat(50_000),
  },
  {
    name: "lists 300,000 deep on one line",
    why: "a recursive reader dies",
    wanted: /nested deeper than 64 levels/,
    text: () => `sources: \n${"- ".repeat(300_000)}`,
  },
  {
    name: "names 300,000 deep on one line",
    why: "takes time by its square",
    wanted: /nested deeper than 64 levels/,
    text: () => "? ".repeat(300_000),
  },
  {
    name: "objects nested by their indentation",
    why: "a recursive reader dies",
    wanted: /nested deeper than 64 levels/,
    text: () => names(1_000, (at) => `${" ".repeat(at)}a:\n`).replaceAll(",", ""),
  },
  {
    name: "50,000 brackets that close nothing",
    why: "each is a fault, one is told",
    wanted: /unexpected token \(line 1, column 1\)$/,
    text: () => "]\n".repeat(50_000),
  },
  {
    name: "a secret in a tag",
    why: "never shown",
    wanted: /tags \(!name\) are not allowed/,
    text: () => "sources: {orders: {dlq: !hidden x}}",
  },
  {
    name: "a secret behind a lost bracket",
    why: "never shown",
    wanted: /unexpected token/,
    text: () => "sources: {}} hidden",
  },
  {
    name: "a text over 50,000 lines",
    why: "folded in one pass",
    wanted: /^sources "x x x.*…" is not an object/,
    text: () => `sources: >\n${"  x\n".repeat(50_000)}`,
  },
];
