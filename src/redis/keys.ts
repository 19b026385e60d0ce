/** Names of the keys that this service owns. Every one is made here. */

/**
 * A source's record (hash). It lies in the same cluster slot as the DLQ: by the DLQ's own hash tag if it has one, else by
 * its whole name.
 */
export function stateKey(dlq: string): string {
  return `mutt:remediation:{${hashTag(dlq) ?? dlq}}:state${hashTag(dlq) === undefined ? "" : `:${dlq}`}`;
}

/** What all sources and instances have replayed of late into the consumer whose limiter counts in `rateKey` (hash). */
export function paceLedgerKey(rateKey: string): string {
  return `mutt:remediation:{${hashTag(rateKey) ?? rateKey}}:pace`;
}

/**
 * What one instance's last commit is remembered by (string, expires), so that a lost reply can be looked into though other
 * instances have committed since. In the slot of the source's record.
 */
export function receiptKey(dlq: string, instance: string): string {
  return `${stateKey(dlq)}:receipt:${instance}`;
}

/**
 * Messages too large to be read (list), as they are: apart from the dead list, so that its readers find only what they can read.
 * In the slot of the source's record.
 */
export function oversizeKey(dlq: string): string {
  return `${stateKey(dlq)}:oversize`;
}

/** Since when messages have waited in a DLQ (string, expires). In the slot of the source's record. */
export function waitingKey(dlq: string): string {
  return `${stateKey(dlq)}:waiting`;
}

/** What a trial of a source's moves is made with: it is gone again within the script. In the slot of the source's record. */
export function trialKey(dlq: string): string {
  return `${stateKey(dlq)}:trial`;
}

/** What one instance watches and changes to see whether WATCH guards (never kept). In the slot of the DLQ. */
export function proofKey(dlq: string, instance: string): string {
  return `${stateKey(dlq)}:proof:${instance}`;
}

/** The part of a key that decides its cluster slot (between the first `{` and the next `}`), if it has one. */
export function hashTag(key: string): string | undefined {
  const open = key.indexOf("{");
  const close = key.indexOf("}", open + 1);
  return open >= 0 && close > open + 1 ? key.slice(open + 1, close) : undefined;
}
