/** The instances of the service: this one makes itself known every 5 s, and reads who else does. */
import { createHash } from "node:crypto";
import { OutageLog } from "../lifecycle/outage_log.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Log } from "../observability/log.ts";
import { StoreError } from "../redis/errors.ts";
import type { Instance } from "../redis/lease_store.ts";
import type { ReplicaStore, SeenReplica } from "../redis/replica_store.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { toLine } from "../runtime/control_characters.ts";

/** How often this instance makes itself known, in milliseconds. */
const REFRESH_MS = 5_000;
/** How long the stop waits for the removal of its entry, in milliseconds. */
const REMOVAL_MS = 1_000;
/** Longest text of an entry, such as a name, in characters. */
export const MAX_REPLICA_NAME = 200;
/** Length of a digest of sources, in hexadecimal digits. */
const DIGEST_DIGITS = 16;

/** An instance, as it describes itself. */
export interface Replica {
  /** The token that it holds leases by. */
  readonly token: string;
  /** Its name as a holder of leases. */
  readonly name: string;
  readonly pod: string;
  readonly version: string;
  /** ISO 8601, by its own clock. */
  readonly startedAt: string;
  /** Digest of the names and DLQs of its sources: instances with the same one may hand sources over to each other. */
  readonly sources: string;
  /** When it was last seen, by the server's clock. */
  readonly seenMs: number;
  readonly isThis: boolean;
}

/** Dependencies of {@link Replicas}. */
export interface ReplicasDeps {
  readonly store: Pick<ReplicaStore, "refresh" | "remove" | "read">;
  readonly instance: Instance;
  readonly podName: string;
  readonly version: string;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** Makes this instance known from `start` to `stop`. */
export class Replicas extends PeriodicTask {
  readonly #deps: ReplicasDeps;
  readonly #texts: readonly string[];
  readonly #outages: OutageLog;
  #sources: () => readonly Pick<SourcePolicy, "name" | "dlq">[] = () => [];
  #isKnown = false;

  constructor(deps: ReplicasDeps) {
    super({ clock: deps.clock });
    this.#deps = deps;
    this.#outages = new OutageLog(deps);
    const startedAt = toIso(deps.clock.nowMs());
    const texts = [deps.instance.name, deps.podName, deps.version].map((text) => text.slice(0, MAX_REPLICA_NAME));
    this.#texts = [...texts, startedAt];
  }

  /** Attaches the sources that this instance works on; before: none. */
  attachSources(sources: () => readonly Pick<SourcePolicy, "name" | "dlq">[]): void {
    this.#sources = sources;
  }

  /** Reads the instances seen in this time, at most and by default a minute, sorted by name. Rejects with a `StoreError`. */
  async list({ seenWithinMs = Infinity } = {}): Promise<readonly Replica[]> {
    const found = (await this.#deps.store.read()).filter(({ agoMs }) => agoMs <= seenWithinMs);
    return found.flatMap((one) => this.#describe(one) ?? []).toSorted((one, other) => one.name < other.name ? -1 : 1);
  }

  /** Removes its entry, if Redis answers in time. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    const { store, isReady, clock } = this.#deps;
    if (!this.#isKnown || !isReady()) return;
    this.#isKnown = false;
    const removed = new AbortController();
    const removing = store.remove().catch(() => {}).finally(() => removed.abort());
    await Promise.race([removing, clock.sleep(REMOVAL_MS, removed.signal)]);
  }

  protected async run(): Promise<RunResult> {
    const { store, isReady } = this.#deps;
    if (!isReady()) return "skipped";
    try {
      await store.refresh(JSON.stringify([...this.#texts, digestOf(this.#sources())]));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#tell(error);
      return "failed";
    }
    this.#isKnown = true;
    this.#outages.up(({ lasted }) => ({
      event: "replica_known",
      message: `Remediation: this instance is listed among the replicas again after ${lasted}`,
    }));
    return "done";
  }

  protected intervalMs(): number {
    return REFRESH_MS;
  }

  #describe({ token, seenMs, entry }: SeenReplica): Replica | null {
    const described = parseEntry(entry);
    return described && { ...described, token, seenMs, isThis: token === this.#deps.instance.token };
  }

  /** The connections log their own losses. */
  #tell({ code, message }: StoreError): void {
    if (code === "CONNECTION") return;
    this.#outages.down(code, {
      event: "replica_unknown",
      message:
        `Remediation: cannot list this instance among the replicas (${code}), so no source is handed over to or by it; retrying`,
      fields: { code, reason: message },
    });
  }
}

function digestOf(sources: readonly Pick<SourcePolicy, "name" | "dlq">[]): string {
  const texts = sources.map(({ name, dlq }) => JSON.stringify([name, dlq])).toSorted();
  return createHash("sha256").update(texts.join()).digest("hex").slice(0, DIGEST_DIGITS);
}

/** Any client may have written it. `null`: it is not an entry. */
function parseEntry(text: string): Omit<Replica, "token" | "seenMs" | "isThis"> | null {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(fields) || fields.length !== 5 || !fields.every((one) => typeof one === "string")) return null;
  const texts = (fields as string[]).map((text) => toLine(text, MAX_REPLICA_NAME));
  const [name, pod, version, startedAt, sources] = texts as [string, string, string, string, string];
  return isNaN(Date.parse(startedAt)) ? null : { name, pod, version, startedAt, sources };
}
