/**
 * Hides secret members of a message wherever it is shown. In JSON the value of a secret member is replaced at any depth, and every
 * other byte stays. In free text, and in a string that may hold JSON itself, a secret's end is not certain: everything behind the
 * name and its `:`, `=` or `>` is hidden. Pure.
 */
import { JsonScanner } from "./json_scanner.ts";
import { readMessage } from "./read_message.ts";

/** Stands for what is hidden. */
export const HIDDEN = "•••";
/** Members that are always secret, in any case of letters. */
export const SECRET_MEMBERS: readonly string[] = ["api_key", "password", "token", "authorization"];
/** The member of an envelope with the original bytes in Base64 (`envelope.ts`): a search for names cannot look into it. */
const ENCODED_MEMBER = "payload_b64";

const QUOTE = 0x22;
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ESCAPE = /\\+u([0-9a-f]{4})/gi, ZERO = /\0|\\x00/g;
const DIGIT = /\d/, DIGITS = /\d/g;
/** Escapes and zero bytes may hide a name. */
const HIDING = /\\u|\0|\\x00/i;

/** Hides the members {@link SECRET_MEMBERS} and more names. */
export class Mask {
  readonly #names: ReadonlySet<string>;
  /** Matches any text that has to be looked at. */
  readonly #suspicious: RegExp;
  readonly #assignment: RegExp;
  /** Matches a text that has a secret name with digits, once both have the same digits. */
  readonly #numbered: RegExp;

  /** `more`: further names of secret members; case does not matter. */
  constructor(more: readonly string[] = []) {
    const names = [...new Set([...SECRET_MEMBERS, ...more].map((name) => name.toLowerCase()))];
    this.#names = new Set([...names, ENCODED_MEMBER]);
    const either = [...this.#names].map((name) => RegExp.escape(name)).join("|");
    this.#suspicious = new RegExp(`${either}|\\\\u|\\0|\\\\x00`, "i");
    this.#assignment = new RegExp(`(?:${either})(?:\\\\*["'])?\\s*[:=>]`, "i");
    const numbered = names.concat(ENCODED_MEMBER).filter((name) => DIGIT.test(name));
    this.#numbered = new RegExp(numbered.map((name) => RegExp.escape(sameDigits(name))).join("|"), "i");
  }

  /** Whether a member of this name is secret. */
  hides(name: string): boolean {
    return this.#names.has(name.toLowerCase());
  }

  /** Whether a text might have a secret name, or not have it, if its digits were others. Escapes are not looked at. */
  dependsOnDigits(text: string): boolean {
    return this.#numbered.test(sameDigits(text));
  }

  /**
   * Returns the message as text without its secrets: JSON stays JSON. Bytes that are neither JSON nor UTF-8, and control
   * characters outside of JSON, become `\xNN`.
   */
  message(bytes: Uint8Array, { readable }: { readable: boolean } = readMessage(bytes)): string {
    if (!readable) return this.text(escapeBytes(bytes));
    const text = UTF8.decode(bytes);
    return this.#suspicious.test(text) ? this.#json(bytes) : text;
  }

  /** Returns free text without its secrets. Any amount of text behind a secret is hidden too. */
  text(text: string): string {
    if (!this.#suspicious.test(text)) return text;
    const found = this.#assignment.exec(text);
    if (HIDING.test(text)) {
      const plain = text.replace(ESCAPE, (_, unit) => String.fromCharCode(parseInt(unit, 16))).replaceAll(ZERO, "");
      const inPlain = this.#assignment.exec(plain);
      if (inPlain && inPlain.index !== found?.index && plain !== text) {
        const same = commonLength(plain.slice(0, inPlain.index), text);
        return text.slice(0, Math.min(same, found?.index ?? Infinity)) + HIDDEN;
      }
    }
    return found ? text.slice(0, found.index + found[0].length) + HIDDEN : text;
  }

  /** Whether a readable message has {@link HIDDEN} where a secret was, so that it is a copy without its secrets. */
  isMasked(bytes: Uint8Array): boolean {
    for (const { start, end, text } of this.#suspects(bytes)) {
      if (
        text === null ? isHidden(UTF8.decode(bytes.subarray(start, end))) : isHidden(text) && this.text(text) === text
      ) {
        return true;
      }
    }
    return false;
  }

  /** `bytes`: a readable message. */
  #json(bytes: Uint8Array): string {
    let text = "", kept = 0;
    for (const { start, end, text: value } of this.#suspects(bytes)) {
      const masked = value === null ? HIDDEN : this.text(value);
      if (masked === value) continue;
      text += UTF8.decode(bytes.subarray(kept, start)) + JSON.stringify(masked);
      kept = end;
    }
    return text + UTF8.decode(bytes.subarray(kept));
  }

  /** The strings of a readable message that may hold secrets, and with `text: null` the values of secret members. */
  *#suspects(bytes: Uint8Array): Generator<{ start: number; end: number; text: string | null }> {
    const scanner = new JsonScanner(bytes);
    while (scanner.at < bytes.length) {
      if (bytes[scanner.at] !== QUOTE) {
        scanner.at++;
        continue;
      }
      const start = scanner.at;
      scanner.skipString();
      const text = JSON.parse(UTF8.decode(bytes.subarray(start, scanner.at))) as string, end = scanner.at;
      if (this.#suspicious.test(text)) yield { start, end, text };
      if (scanner.skipColon()) {
        if (!this.hides(text)) continue;
        const valueStart = scanner.at;
        scanner.skipValue(0);
        yield { start: valueStart, end: scanner.at, text: null };
      } else {
        scanner.at = end;
        scanner.problem = null;
      }
    }
  }
}

function sameDigits(text: string): string {
  return text.replaceAll(DIGITS, "0");
}

/** Whether a text holds {@link HIDDEN}, plain or as JSON escapes. */
function isHidden(text: string): boolean {
  return /(?:•|\\u2022){3}/i.test(text);
}

/** Length of the longest common beginning. */
function commonLength(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** UTF-8 stays, except control characters; of other bytes, only printable ASCII stays. */
function escapeBytes(bytes: Uint8Array): string {
  const escape = (character: string) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  try {
    return STRICT_UTF8.decode(bytes).replace(/[^\P{Cc}\t\n]/gu, escape);
  } catch {
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("").replace(/[^\t\n -~]/g, escape);
  }
}
