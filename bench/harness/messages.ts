/** The messages that are drained: events as MUTT's alerter gives them up, of one size, every twentieth poison. */
import { Buffer } from "node:buffer";

/** Of so many messages the first is poison. */
const POISON_EVERY = 20;
/** What fills a message up; with escapes, as log lines have them. */
const FILLER = 'sshd[4711]: Failed password for invalid user \\"admin\\" from 198.51.100.4 port 50312 ssh2; ';
const FIRST_AT_MS = Date.UTC(2026, 0, 15, 14, 30, 0);

/** A message of exactly `bytes` (at least 300), unlike every other. */
export function makeMessage(index: number, bytes: number): Buffer {
  const mark = index % POISON_EVERY === 0 ? '"_moog_retry_count": 3' : '"_retry_count": 4';
  const id = `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`;
  const before = `{"timestamp": "${new Date(FIRST_AT_MS + index * 1_000).toISOString()}", "hostname": "core-fra-1", ` +
    '"message": "';
  const after = `", "severity": "Error", "syslog_severity": 3, "_correlation_id": "${id}", ${mark}}`;
  return Buffer.from(before + fill(bytes - before.length - after.length) + after);
}

/** The identities of the messages in a text, however they are wrapped there. */
export function idsIn(text: string): string[] {
  return text.match(/00000000-0000-4000-8000-[0-9a-f]{12}/g) ?? [];
}

/** How many of the first `count` messages are poison. */
export function countPoison(count: number): number {
  return Math.ceil(count / POISON_EVERY);
}

/** JSON text of so many bytes for the inside of a string. */
function fill(bytes: number): string {
  const text = FILLER.repeat(Math.ceil(bytes / FILLER.length)).slice(0, bytes);
  return text.endsWith("\\") ? `${text.slice(0, -1)} ` : text;
}
