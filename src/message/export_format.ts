/**
 * The file format of exports: one JSON object a line, each with its `kind`: a header, messages from the oldest to the newest, and an
 * end with their count, which shows a file that was cut off. A raw export holds the exact bytes. A masked one holds text without
 * secrets, and cannot be imported. Pure.
 */
import { payloadBytes, payloadMember } from "./envelope.ts";
import { membersText } from "./json_object.ts";
import { MESSAGE_ID_PATTERN, messageId } from "./message_id.ts";
import { LIST_NAMES } from "./source_policy.ts";

const FORMAT = "mutt-remediation-export", VERSION = 1;

/** First line of an export. */
export interface ExportHeader {
  readonly source: string;
  readonly list: string;
  /** The query in its canonical form; empty: all messages. */
  readonly query: string;
  readonly masked: boolean;
  /** Messages in the list at the beginning, before the query. */
  readonly depth: number;
  /** ISO 8601. */
  readonly at: string;
}

/** An exported message. */
export interface ExportedMessage {
  readonly id: string;
  /** From 1 at the oldest message of the list that it was exported from. */
  readonly place: number;
  readonly bytes: Uint8Array;
}

/** Formats the header, without a line feed. */
export function formatHeader({ source, list, query, masked, depth, at }: ExportHeader): string {
  return JSON.stringify({ kind: "header", format: FORMAT, version: VERSION, source, list, query, masked, depth, at });
}

/** Formats a message with its exact bytes, as `payload` (text) or `payload_b64`. */
export function formatRaw({ id, place, bytes }: ExportedMessage): string {
  const members = membersText([
    ["kind", '"message"'],
    ["id", `"${id}"`],
    ["place", String(place)],
    payloadMember(bytes),
  ]);
  return `{${members}}`;
}

/** Formats a message as text without secrets. */
export function formatMasked({ id, place, text }: { id: string; place: number; text: string }): string {
  return JSON.stringify({ kind: "masked", id, place, text });
}

/** Formats a message that is too large to read. */
export function formatSkipped({ id, place, sizeBytes }: { id: string; place: number; sizeBytes: number }): string {
  return JSON.stringify({ kind: "skipped", id, place, sizeBytes });
}

/** Formats the end. `messages`: number of message lines. */
export function formatEnd({ messages, skipped }: { messages: number; skipped: number }): string {
  return JSON.stringify({ kind: "end", messages, skipped });
}

/** Something wrong with a line. Never contains its content. */
export interface ExportProblem {
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}

/** Result of a whole export. Use its messages only if there are no problems. */
export interface ParsedExport {
  /** `null`: no header could be read. */
  readonly header: ExportHeader | null;
  readonly messages: number;
  /** Messages that were too large to be exported. */
  readonly skipped: number;
  readonly problems: readonly ExportProblem[];
  /** Problems beyond the first {@link MAX_PROBLEMS}. */
  readonly moreProblems: number;
}

/** Most problems that are described. */
export const MAX_PROBLEMS = 100;
/** What a line needs beside its payload, in bytes. */
const MORE_LINE_BYTES = 8_192;
const LINE_FEED = 0x0a;
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const MESSAGE_ID = new RegExp(MESSAGE_ID_PATTERN);
const EMPTY = new Uint8Array(0);

/** Members of each kind of line, with a test of each. */
type Shape = Readonly<Record<string, (value: unknown) => boolean>>;

const isText = (value: unknown): value is string => typeof value === "string";
/** Plans and the journal repeat it. */
const isShort = (value: unknown) => isText(value) && value.length <= 64;
const isList = (value: unknown) => LIST_NAMES.some((name) => name === value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPlace = (value: unknown) => isCount(value) && value > 0;
const isId = (value: unknown) => isText(value) && MESSAGE_ID.test(value);
const KIND = isText;
const SHAPES: Readonly<Record<string, Shape>> = {
  header: {
    ...{ kind: KIND, format: (value) => value === FORMAT, version: (value) => value === VERSION },
    ...{ source: isShort, list: isList, query: isText, masked: (value) => typeof value === "boolean" },
    ...{ depth: isCount, at: isShort },
  },
  message: { kind: KIND, id: isId, place: isPlace, payload: isText, payload_b64: isText },
  masked: { kind: KIND, id: isId, place: isPlace, text: isText },
  skipped: { kind: KIND, id: isId, place: isPlace, sizeBytes: isCount },
  end: { kind: KIND, messages: isCount, skipped: isCount },
};
/** A message has one of them. */
const PAYLOADS = ["payload", "payload_b64"];

/**
 * Parses an export piece by piece, and keeps one line at most. Strict: unknown members, ids that do not fit the bytes, missing lines
 * and masked messages are problems. Never throws.
 */
export class ExportParser {
  readonly #maxMessageBytes: number;
  readonly #maxLineBytes: number;
  readonly #problems: ExportProblem[] = [];
  #moreProblems = 0;
  #pieces: Uint8Array[] = [];
  #held = 0;
  #line = 1;
  #isTooLong = false;
  #header: ExportHeader | null = null;
  #messages = 0;
  #skipped = 0;
  #end: { readonly messages: number; readonly skipped: number } | null = null;

  constructor({ maxMessageBytes }: { maxMessageBytes: number }) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#maxLineBytes = Math.ceil(maxMessageBytes * 4 / 3) + MORE_LINE_BYTES;
  }

  /** Whether something is wrong so far. */
  get hasProblems(): boolean {
    return this.#problems.length > 0;
  }

  /** Parses the next bytes. Returns the messages that they complete. */
  push(bytes: Uint8Array): ExportedMessage[] {
    const messages: ExportedMessage[] = [];
    for (let at = 0; at < bytes.length;) {
      const found = bytes.indexOf(LINE_FEED, at), end = found < 0 ? bytes.length : found;
      this.#hold(bytes.subarray(at, end));
      if (found < 0) break;
      const message = this.#finishLine();
      if (message) messages.push(message);
      at = found + 1;
    }
    return messages;
  }

  /** Ends the export. */
  finish(): ParsedExport {
    if (this.#held > 0 || this.#isTooLong) {
      this.#problem("does not end with a line feed: the file was cut off");
      this.#drop();
    }
    if (this.#end === null && this.#header !== null) {
      this.#problem("the end is missing: the file was cut off, or the export was cancelled");
    }
    if (this.#header === null && this.#problems.length === 0) this.#problem("there is no header");
    return {
      ...{ header: this.#header, messages: this.#messages, skipped: this.#skipped },
      ...{ problems: this.#problems, moreProblems: this.#moreProblems },
    };
  }

  #hold(piece: Uint8Array): void {
    if (this.#isTooLong || piece.length === 0) return;
    this.#held += piece.length;
    if (this.#held > this.#maxLineBytes) {
      this.#problem(
        `longer than ${this.#maxLineBytes} bytes, which is enough for any message of ${this.#maxMessageBytes}`,
      );
      this.#drop();
      this.#isTooLong = true;
    } else this.#pieces.push(piece.slice());
  }

  #drop(): void {
    this.#pieces = [];
    this.#held = 0;
    this.#isTooLong = false;
  }

  #finishLine(): ExportedMessage | null {
    const isTooLong = this.#isTooLong, bytes = this.#pieces.length === 1 ? this.#pieces[0]! : joinBytes(this.#pieces);
    this.#drop();
    const message = isTooLong ? null : this.#parseLine(bytes);
    this.#line++;
    return message;
  }

  #parseLine(bytes: Uint8Array): ExportedMessage | null {
    const line = parseObject(bytes);
    if (line === null) return this.#problem("not a JSON object in UTF-8");
    const { kind } = line, shape = isText(kind) && Object.hasOwn(SHAPES, kind) ? SHAPES[kind]! : null;
    if (shape === null) return this.#problem(`kind is not one of ${Object.keys(SHAPES).join(", ")}`);
    const wrong = wrongMembers(line, shape);
    if (wrong.length > 0) return this.#problem(`${kind} has no valid ${wrong.join(", ")}`);
    if (this.#end !== null) return this.#problem("a line after the end");
    if ((kind === "header") !== (this.#line === 1)) {
      return this.#problem(kind === "header" ? "a second header" : "the first line is not a header");
    }
    switch (kind) {
      case "header":
        return this.#readHeader(line as unknown as ExportHeader);
      case "message":
        return this.#readMessage(line);
      case "masked":
        // The header has told.
        return this.#header?.masked ? null : this.#problem("a masked message cannot be imported");
      case "skipped":
        this.#skipped++;
        return null;
      default:
        return this.#readEnd(line as { messages: number; skipped: number });
    }
  }

  #readHeader({ source, list, query, masked, depth, at }: ExportHeader): null {
    this.#header = { source, list, query, masked, depth, at };
    return masked ? this.#problem("a masked export cannot be imported: its messages are not whole") : null;
  }

  #readMessage(line: Readonly<Record<string, unknown>>): ExportedMessage | null {
    const name = PAYLOADS.find((name) => Object.hasOwn(line, name))!;
    const bytes = payloadBytes(name, line[name] as string), id = line.id as string;
    if (bytes === null) return this.#problem(`${name} is not ${name === "payload" ? "Unicode text" : "Base64"}`);
    if (bytes.length > this.#maxMessageBytes) {
      return this.#problem(`the message has ${bytes.length} bytes; the limit is ${this.#maxMessageBytes}`);
    }
    if (messageId(bytes) !== id) return this.#problem("id does not fit the payload: the line was changed");
    this.#messages++;
    return { id, place: line.place as number, bytes };
  }

  #readEnd({ messages, skipped }: { messages: number; skipped: number }): null {
    this.#end = { messages, skipped };
    const isWhole = this.#header?.masked || this.#problems.length > 0 ||
      (messages === this.#messages && skipped === this.#skipped);
    return isWhole ? null : this.#problem(
      `the export had ${messages} messages and ${skipped} skipped ones; the file has ${this.#messages} and ${this.#skipped}`,
    );
  }

  #problem(problem: string): null {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push({ line: this.#line, problem });
    else this.#moreProblems++;
    return null;
  }
}

function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 0) return EMPTY;
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(STRICT_UTF8.decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : null;
  } catch {
    return null;
  }
}

/** Names of missing, wrong and, as `no other member`, unknown members. */
function wrongMembers(line: Readonly<Record<string, unknown>>, shape: Shape): string[] {
  const names = Object.keys(shape), payloads = names.filter((name) => PAYLOADS.includes(name));
  const given = payloads.filter((name) => Object.hasOwn(line, name));
  const wanted = names.filter((name) => !PAYLOADS.includes(name) || given.includes(name));
  const wrong = wanted.filter((name) => !Object.hasOwn(line, name) || !shape[name]!(line[name]));
  if (payloads.length > 0 && given.length !== 1) wrong.push("payload or payload_b64, one of them");
  if (Object.keys(line).some((name) => !Object.hasOwn(shape, name))) wrong.push("members beside these");
  return wrong;
}
