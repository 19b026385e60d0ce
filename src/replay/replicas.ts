/** The instances of the service: this one makes itself known every 10 s, and reads who else does. */
import { OutageLog } from "../lifecycle/outage_log.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import { StoreError } from "../redis/errors.ts";
import type { Instance } from "../redis/lease_store.ts";
import type { ReplicaStore, SeenReplica } from "../redis/replica_store.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { toLine } from "../runtime/control_characters.ts";

/** How often this instance makes itself known, in milliseconds. */
const REFRESH_MS = 10_000;
/** How long the stop waits for the removal of its entry, in milliseconds. */
const REMOVAL_MS = 1_000;
/** Longest text of an entry, in characters. */
const MOST_CHARACTERS = 200;

/** An instance, as it describes itself. */
export interface Replica {
  /** The name that it holds leases by. */
  readonly name: string;
  readonly pod: string;
  readonly version: string;
  /** ISO 8601, by its own clock. */
  readonly startedAt: string;
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
  readonly #entry: string;
  readonly #outages: OutageLog;
  #isKnown = false;

  constructor(deps: ReplicasDeps) {
    super({ clock: deps.clock });
    this.#deps = deps;
    this.#outages = new OutageLog(deps);
    const startedAt = toIso(deps.clock.nowMs());
    const texts = [deps.instance.name, deps.podName, deps.version].map((text) => text.slice(0, MOST_CHARACTERS));
    this.#entry = JSON.stringify([...texts, startedAt]);
  }

  /** Reads the instances seen in the last minute, sorted by name. Rejects with a `StoreError`. */
  async list(): Promise<readonly Replica[]> {
    const found = await this.#deps.store.read();
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
      await store.refresh(this.#entry);
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
    return described && { ...described, seenMs, isThis: token === this.#deps.instance.token };
  }

  /** The connections log their own losses. */
  #tell({ code, message }: StoreError): void {
    if (code === "CONNECTION") return;
    this.#outages.down(code, {
      event: "replica_unknown",
      message: `Remediation: cannot list this instance among the replicas (${code}), which only people read; retrying`,
      fields: { code, reason: message },
    });
  }
}

/** Any client may have written it. `null`: it is not an entry. */
function parseEntry(text: string): Omit<Replica, "seenMs" | "isThis"> | null {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(fields) || fields.length !== 4 || !fields.every((one) => typeof one === "string")) return null;
  const [name, pod, version, startedAt] = (fields as string[]).map((text) => toLine(text, MOST_CHARACTERS));
  return isNaN(Date.parse(startedAt!)) ? null : { name: name!, pod: pod!, version: version!, startedAt: startedAt! };
}
