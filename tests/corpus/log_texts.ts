/** Texts that a log line must not be broken by, nor the terminal or the program that reads it. */
import type { Corpus } from "../../testkit/corpus.ts";

/** The text. */
interface Text {
  readonly text: string;
}

/** The texts; each must come back whole from the line in JSON, which is one line. */
export const LOG_TEXTS: Corpus<"one line", Text> = [
  {
    name: "CR LF",
    why: "a line of its own",
    wanted: "one line",
    text: '\r\n{"level": "CRITICAL", "message": "forged"}\r\n',
  },
  { name: "NEL", why: "found: Python's splitlines ends a line there", wanted: "one line", text: "a\u0085b" },
  { name: "line and paragraph separator", why: "found: so does it here", wanted: "one line", text: "a\u2028b\u2029c" },
  {
    name: "vertical tab, form feed, separators",
    why: "and here",
    wanted: "one line",
    text: "a\vb\fc\u001cd\u001de\u001ef",
  },
  { name: "NUL", why: "C would cut there", wanted: "one line", text: "a\u0000b" },
  { name: "ESC [", why: "drives a terminal", wanted: "one line", text: "\u001b[2J\u001b]0;title\u0007" },
  { name: "CSI in one character", why: "found: drives xterm", wanted: "one line", text: "\u009b31m\u0090\u009c" },
  { name: "DEL and backspace", why: "hide what stands before", wanted: "one line", text: "abc\u007f\b\b\b" },
  { name: "lone surrogates", why: "no UTF-8", wanted: "one line", text: "\ud800 \udfff" },
  { name: "quotes and backslashes", why: "end the string", wanted: "one line", text: '\\"}\\u000a\\' },
  { name: "__proto__", why: "as the name of a field", wanted: "one line", text: "__proto__" },
  { name: "toJSON", why: "as the name of a field", wanted: "one line", text: "toJSON" },
  { name: "100,000 line feeds", why: "whole, and one line", wanted: "one line", text: "\n".repeat(100_000) },
];
