/** Hostile messages that are kept: large ones and binary ones are made when they are needed. */
import { Buffer } from "node:buffer";
import type { Corpus } from "../../testkit/corpus.ts";
import type { Reading } from "../../testkit/message_checks.ts";

/** The message. */
interface Message {
  readonly bytes: () => Uint8Array;
  /** More than is ever read of a list (REMEDIATION_MAX_MESSAGE_BYTES): what is done to it is tried in the long form only. */
  readonly isHuge?: boolean;
}

const text = (json: string): Message => ({ bytes: () => new TextEncoder().encode(json) });
/** One character a byte. */
const raw = (bytes: string): Message => ({ bytes: () => Uint8Array.from(Buffer.from(bytes, "latin1")) });
const made = (parts: () => string): Message => ({ bytes: () => new TextEncoder().encode(parts()) });

/** `{"a":` … `}` around so many containers, opened by turns with these. */
function nest(kinds: string, depth: number): string {
  const at = (i: number) => kinds[i % kinds.length]!;
  const open = Array.from({ length: depth }, (_, i) => at(i) === "{" ? '{"a":' : "[").join("");
  const close = Array.from({ length: depth }, (_, i) => at(depth - 1 - i) === "{" ? "}" : "]").join("");
  return `{"a":${open}0${close}}`;
}

const HUNDRED_MB = 100_000_000;

/** The messages. */
export const MESSAGES: Corpus<Reading, Message> = [
  {
    name: "arrays 100,000 deep",
    why: "a recursive reader dies",
    wanted: "unreadable",
    ...made(() => nest("[", 100_000)),
  },
  {
    name: "objects 100,000 deep",
    why: "a recursive reader dies",
    wanted: "unreadable",
    ...made(() => nest("{", 100_000)),
  },
  {
    name: "both by turns 100,000 deep",
    why: "each closes the other",
    wanted: "unreadable",
    ...made(() => nest("[{", 100_000)),
  },
  { name: "opened 100,000 times", why: "never closed", wanted: "unreadable", ...made(() => "[".repeat(100_000)) },
  {
    name: "objects opened 100,000 times",
    why: "never closed",
    wanted: "unreadable",
    ...made(() => '{"a":'.repeat(100_000)),
  },
  { name: "deepest mixed", why: "499 and the outermost are 500", wanted: "readable", ...made(() => nest("[{", 499)) },
  { name: "deepest mixed and one", why: "one over the limit", wanted: "unreadable", ...made(() => nest("[{", 500)) },
  {
    name: "shallow but 200,000 containers",
    why: "depth is counted where it is left too",
    wanted: "readable",
    ...made(() => `{"a":[${"[[]],".repeat(100_000)}[]]}`),
  },

  {
    name: "100 MB of text",
    isHuge: true,
    why: "nothing is kept of it but its place",
    wanted: "readable",
    ...made(() => `{"a":"${"x".repeat(HUNDRED_MB)}"}`),
  },
  {
    name: "100 MB of white space",
    isHuge: true,
    why: "no value at all",
    wanted: "unreadable",
    ...made(() => " ".repeat(HUNDRED_MB)),
  },
  {
    name: "100 MB of digits",
    isHuge: true,
    why: "an integer beyond CPython's limit",
    wanted: "unreadable",
    ...made(() => `{"a":${"7".repeat(HUNDRED_MB)}}`),
  },
  {
    name: "100 MB of 0xff",
    isHuge: true,
    why: "an envelope in Base64",
    wanted: "unreadable",
    bytes: () => new Uint8Array(HUNDRED_MB).fill(0xff),
  },

  {
    name: "__proto__",
    why: "a name like any other",
    wanted: "readable",
    ...text('{"__proto__":{"_retry_count":9},"a":1}'),
  },
  {
    name: "__proto__ as the record",
    why: "counts are not inherited",
    wanted: "readable",
    ...text('{"_remediation":{"__proto__":{"failures":999}}}'),
  },
  {
    name: "constructor and prototype",
    why: "names like any other",
    wanted: "readable",
    ...text('{"constructor":{"prototype":{"x":1}},"toString":1,"valueOf":2}'),
  },
  {
    name: "toJSON and then",
    why: "called by some, if they were functions",
    wanted: "readable",
    ...text('{"toJSON":1,"then":{"then":2}}'),
  },
  {
    name: "the record by another spelling",
    why: "cut however it is escaped",
    wanted: "readable",
    ...text('{"\\u005fremediation":{"failures":1000},"_rem\\u0065diation":{"failures":0}}'),
  },
  {
    name: "the record twice",
    why: "the last counts, both go",
    wanted: "readable",
    ...text('{"_remediation":{"failures":1000},"a":1,"_remediation":[]}'),
  },
  {
    name: "the record is all there is",
    why: "no separator is left over",
    wanted: "readable",
    ...text('{ "_remediation" : 1 , "failed_at" : 2 }'),
  },
  {
    name: "a name that only begins like the record's",
    why: "NUL is no end",
    wanted: "readable",
    ...text('{"_remediation\\u0000":1,"_retry_count\\u0000":9}'),
  },

  { name: "NUL in a string", why: "a raw control", wanted: "unreadable", ...raw('{"a":"\x00"}') },
  { name: "NUL behind", why: "C would not see it", wanted: "unreadable", ...raw('{"a":1}\x00') },
  { name: "NUL before", why: "UTF-16 looks like it", wanted: "unreadable", ...raw('\x00{"a":1}') },
  { name: "NUL escaped", why: "a character like any other", wanted: "readable", ...text('{"hostname":"a\\u0000b"}') },
  {
    name: "nothing but NUL",
    why: "six times its size in an envelope",
    wanted: "unreadable",
    bytes: () => new Uint8Array(10_000),
  },

  {
    name: "lone surrogate escaped",
    why: "Python reads it",
    wanted: "readable",
    ...text('{"hostname":"\\ud800","\\udc00":1}'),
  },
  {
    name: "pair the wrong way round",
    why: "two lone ones",
    wanted: "readable",
    ...text('{"hostname":"\\ude00\\ud83d"}'),
  },
  { name: "lone surrogate in bytes", why: "no UTF-8", wanted: "unreadable", ...raw('{"hostname":"\xed\xa0\x80"}') },
  {
    name: "pair in bytes (CESU-8)",
    why: "what Java and Oracle write",
    wanted: "unreadable",
    ...raw('{"hostname":"\xed\xa0\xbd\xed\xb8\x80"}'),
  },
  {
    name: "NUL overlong (modified UTF-8)",
    why: "what Java writes",
    wanted: "unreadable",
    ...raw('{"hostname":"\xc0\x80"}'),
  },
  {
    name: "quote overlong",
    why: "would end the string for a lax reader",
    wanted: "unreadable",
    ...raw('{"a":"\xc0\xa2,"_retry_count":9}'),
  },
  { name: "beyond U+10FFFF", why: "no UTF-8", wanted: "unreadable", ...raw('{"a":"\xf4\x90\x80\x80"}') },
  {
    name: "cut in a character",
    why: "a writer with a byte limit",
    wanted: "unreadable",
    ...raw('{"hostname":"\xe2\x82'),
  },
  { name: "Latin-1", why: "an old agent", wanted: "unreadable", ...raw('{"hostname":"M\xfcnchen"}') },

  { name: "byte order mark", why: "Windows; json.loads refuses it", wanted: "unreadable", ...text('\ufeff{"a":1}') },
  {
    name: "byte order mark in a key",
    why: "a character like any other there",
    wanted: "readable",
    ...text('{"\ufeff_retry_count":9,"_retry_count":1}'),
  },
  { name: "UTF-16", why: "Windows", wanted: "unreadable", ...raw("\xff\xfe{\x00}\x00") },

  {
    name: "line feeds escaped",
    why: "to forge a log line",
    wanted: "readable",
    ...text('{"hostname":"a\\r\\n{\\"level\\": \\"CRITICAL\\"}","_correlation_id":"\\n\\u2028\\u0085"}'),
  },
  {
    name: "terminal codes",
    why: "to drive a terminal",
    wanted: "readable",
    ...text('{"hostname":"\u009b31m\u202e\u2066","severity":"\\u001b[2J"}'),
  },
  {
    name: "an emoji at the preview's edge",
    why: "found: half of it was left",
    wanted: "readable",
    ...text(`{"hostname":"${"x".repeat(77)}\u{1f600}${"x".repeat(9)}"}`),
  },
  {
    name: "an api_key in a member that is shown",
    why: "containers are never shown",
    wanted: "readable",
    ...text('{"hostname":{"api_key":"k"},"api_key":"k"}'),
  },

  {
    name: "integer of 4,300 digits",
    why: "the last that CPython reads",
    wanted: "readable",
    ...text(`{"a":${"7".repeat(4_300)}}`),
  },
  {
    name: "integer of 4,301 digits",
    why: "CPython raises",
    wanted: "unreadable",
    ...text(`{"a":${"7".repeat(4_301)}}`),
  },
  {
    name: "float of 10,000 digits",
    why: "no limit for floats",
    wanted: "readable",
    ...text(`{"_moog_retry_count":${"7".repeat(10_000)}.5}`),
  },
  {
    name: "Infinity as a counter",
    why: "over any limit",
    wanted: "readable",
    ...text('{"_moog_retry_count":Infinity}'),
  },
  { name: "NaN as a counter", why: "counts 0", wanted: "readable", ...text('{"_moog_retry_count":NaN}') },
  { name: "-NaN", why: "CPython refuses it", wanted: "unreadable", ...text('{"a":-NaN}') },
  { name: "Arabic digits", why: "str.isdigit takes them, json does not", wanted: "unreadable", ...text('{"a":٣}') },

  {
    name: "an envelope of its own",
    why: "opens to what is in it, whoever made it",
    wanted: "readable",
    ...text('{"failed_at": "x", "_remediation": {}, "payload": "hello"}'),
  },
  {
    name: "an envelope with a lone surrogate",
    why: "stands for no bytes",
    wanted: "readable",
    ...text('{"failed_at": "x", "_remediation": {}, "payload": "\\ud800"}'),
  },
  {
    name: "an envelope with bad Base64",
    why: "stands for no bytes",
    wanted: "readable",
    ...text('{"failed_at": "x", "_remediation": {}, "payload_b64": "A==="}'),
  },

  { name: "two values", why: "bytes behind the value", wanted: "unreadable", ...text('{"a":1}{"a":2}') },
  {
    name: "100,000 members of one name",
    why: "all are cut, in one pass",
    wanted: "readable",
    ...made(() => `{${'"_retry_count":9,'.repeat(100_000)}"a":1}`),
  },
  {
    name: "100,000 members, every second cut",
    why: "runs to keep, in one pass",
    wanted: "readable",
    ...made(() => `{${'"_retry_count":9,"a":1,'.repeat(50_000)}"b":1}`),
  },
];
