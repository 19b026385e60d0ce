/** Builds the names of all keys that this service owns. */

/**
 * Key of a source's state (hash). It is in the same cluster slot as the DLQ: its hash tag is the DLQ's own hash tag if it has
 * one, else the DLQ's whole name.
 */
export function stateKey(dlq: string): string {
  return `mutt:remediation:{${hashTag(dlq) ?? dlq}}:state${hashTag(dlq) === undefined ? "" : `:${dlq}`}`;
}

/** Key of the pace ledger (hash): recent replays of all sources and instances that share the rate limiter at `rateKey`. */
export function paceLedgerKey(rateKey: string): string {
  return `mutt:remediation:{${hashTag(rateKey) ?? rateKey}}:pace`;
}

/**
 * Key of the receipt of one instance's last commit (string, expires). If the reply is lost, it shows whether the commit ran,
 * even after commits of other instances. In the slot of the source's state.
 */
export function receiptKey(dlq: string, instance: string): string {
  return `${stateKey(dlq)}:receipt:${instance}`;
}

/**
 * Key of the messages that are too large to read (list), unchanged. They are not in the dead list, because its readers could
 * not read them either. In the slot of the source's state.
 */
export function oversizeKey(dlq: string): string {
  return `${stateKey(dlq)}:oversize`;
}

/** Key that records since when messages have waited in a DLQ (string, expires). In the slot of the source's state. */
export function waitingKey(dlq: string): string {
  return `${stateKey(dlq)}:waiting`;
}

/** Key that a trial of a source's moves writes and deletes within one script. In the slot of the source's state. */
export function trialKey(dlq: string): string {
  return `${stateKey(dlq)}:trial`;
}

/** Key that one instance watches and changes to test whether WATCH works (never kept). In the slot of the DLQ. */
export function proofKey(dlq: string, instance: string): string {
  return `${stateKey(dlq)}:proof:${instance}`;
}

/** Key of the shelf (list): messages that a job's sweep has passed, until they are put back. In the slot of the source's state. */
export function shelfKey(dlq: string): string {
  return `${stateKey(dlq)}:shelf`;
}

/** Key of the ids of a source's jobs (sorted set, by creation in milliseconds). In the slot of the source's state. */
export function jobsKey(dlq: string): string {
  return `${stateKey(dlq)}:jobs`;
}

/** Key of a job (hash, expires). In the slot of the source's state. */
export function jobKey(dlq: string, id: string): string {
  return `${jobsKey(dlq)}:${id}`;
}

/** Key of the messages that a job has picked (list; newest left, oldest right). In the slot of the source's state. */
export function jobListKey(dlq: string, id: string): string {
  return `${jobKey(dlq, id)}:list`;
}

/** Key of the running drill (hash, expires). In the slot of the source's state. */
export function drillKey(dlq: string): string {
  return `${stateKey(dlq)}:drill`;
}

/** Key of the messages that a drill has moved, or that an ended one has left (list, expires). In the slot of the source's state. */
export function drillListKey(dlq: string): string {
  return `${drillKey(dlq)}:list`;
}

/** Key of the reports of the last drills (list, newest left, expires). In the slot of the source's state. */
export function drillsKey(dlq: string): string {
  return `${stateKey(dlq)}:drills`;
}

/** Key of the id of the job that works on a list, which several sources may share (string, expires). In the slot of the list. */
export function claimKey(list: string): string {
  return `${stateKey(list)}:claim`;
}

/** Key of the messages that a purge picks, and that can be brought back when it has ended (list, expires then). In the slot of the source's state. */
export function trashKey(dlq: string, id: string): string {
  return `${jobKey(dlq, id)}:trash`;
}

/** Key of the stamps that a source records beside its messages (hash: key of a message → `formatRecord` and `:second`). In the slot of the source's state. */
export function recordsKey(dlq: string): string {
  return `${stateKey(dlq)}:records`;
}

/** Key of the order in which these were written (list of a commit's keys, newest left), by which they are deleted. In the slot of the source's state. */
export function recordOrderKey(dlq: string): string {
  return `${recordsKey(dlq)}:order`;
}

/** Key of the journal of a source's moves (stream, capped). In the slot of the source's state. */
export function movesKey(dlq: string): string {
  return `${stateKey(dlq)}:moves`;
}

/** Key of the history of a source (stream, capped, expires): samples for charts. In the slot of the source's state. */
export function historyKey(dlq: string): string {
  return `${stateKey(dlq)}:history`;
}

/** Key of the counts of a source's objectives in fine slots (list, capped, expires). In the slot of the source's state. */
export function countsKey(dlq: string): string {
  return `${stateKey(dlq)}:objectives`;
}

/** Key of the same counts in coarse slots (list, capped, expires). In the slot of the source's state. */
export function coarseCountsKey(dlq: string): string {
  return `${countsKey(dlq)}:coarse`;
}

/** Key of the instances that run (string, expires): a line each, which its instance refreshes. */
export function replicasKey(): string {
  return "mutt:remediation:{replicas}:seen";
}

/** Key of a journal that all sources share (stream, capped). */
export function journalKey(name: "audit" | "incidents"): string {
  return `mutt:remediation:{journal}:${name}`;
}

/** Key of the head of such a journal: number and hash of its newest entry (string). In the slot of the journal. */
export function journalHeadKey(name: "audit" | "incidents"): string {
  return `${journalKey(name)}:head`;
}

/** Key of what the notifier knows (hash): its lease, the incidents, what each receiver was sent. In the slot of the shared journals. */
export function noticesKey(): string {
  return "mutt:remediation:{journal}:notices";
}

/** Key of the secret that signs the sessions of the API (string). All instances share it. */
export function sessionSecretKey(): string {
  return "mutt:remediation:{api}:session-secret";
}

/** Key of the answer to a request with an idempotency key (string, expires). `digest` names the caller and the key. */
export function requestKey(digest: string): string {
  return `mutt:remediation:{api}:request:${digest}`;
}

/** Key of the keys of these answers (sorted set, by the time of the request in milliseconds). */
export function requestsKey(): string {
  return "mutt:remediation:{api}:requests";
}

/** Returns the hash tag of a key, which decides its cluster slot: the text between the first `{` and the next `}`, if any. */
export function hashTag(key: string): string | undefined {
  const open = key.indexOf("{");
  const close = key.indexOf("}", open + 1);
  return open >= 0 && close > open + 1 ? key.slice(open + 1, close) : undefined;
}
