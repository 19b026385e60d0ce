/** JSON text in colours. Pure: it changes no character of the text. */
import { HIDDEN } from "../message/mask.ts";
import type { Html } from "./page.ts";

/** A string, with the colon of a member's name; a number; a word; punctuation. */
const TOKEN = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null|NaN|-?Infinity)\b|([{}[\],]+)/g;

interface Token {
  readonly kind: "" | "key" | "text" | "number" | "word" | "mark" | "hidden";
  readonly text: string;
}

/** A text as a block; what is not JSON has no colours. */
export function JsonText({ text }: { text: string }): Html {
  return (
    <pre class="json" tabindex={0}><code>{tokensOf(text).map(({ kind, text: part }) =>
      kind === "" ? part : <span class={kind}>{part}</span>
    )}</code></pre>
  ) as Html;
}

function tokensOf(text: string): readonly Token[] {
  if (!/^\s*[{[]/.test(text)) return [{ kind: "", text }];
  const tokens: Token[] = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [all, string, colon, number, word] = found;
    if (found.index > end) tokens.push({ kind: "", text: text.slice(end, found.index) });
    end = found.index + all.length;
    if (string === undefined) {
      tokens.push({ kind: number === undefined ? word === undefined ? "mark" : "word" : "number", text: all });
      continue;
    }
    const kind = colon !== undefined ? "key" : string.slice(1, -1) === HIDDEN ? "hidden" : "text";
    tokens.push({ kind, text: string });
    if (colon !== undefined) tokens.push({ kind: "mark", text: colon });
  }
  if (end < text.length) tokens.push({ kind: "", text: text.slice(end) });
  return tokens;
}
