/** The leader lease of one source, in fields of its state, by the server's clock. */
import { MAX_LEASE_MS } from "../config/fields.ts";
import { toLine } from "../runtime/control_characters.ts";
import type { RedisClient } from "./cluster.ts";
import { stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import releaseLease from "./scripts/release_lease.lua" with { type: "text" };
import takeLease from "./scripts/take_lease.lua" with { type: "text" };

/** A holder's name is cut to this length, in characters. */
const MAX_NAME = 200;

/** Identifies an instance to the others. */
export interface Instance {
  /** Unique for each process; a pod's name need not be unique. */
  readonly token: string;
  /** Name for messages. */
  readonly name: string;
}

/** The lease after an attempt to take it. */
export interface LeaseReply {
  readonly isOurs: boolean;
  /** Name of the instance that holds it. */
  readonly holder: string;
  /** Time left, in milliseconds. */
  readonly leftMs: number;
}

/** Takes and releases one lease. Rejects with a `StoreError`. */
export class LeaseStore {
  readonly #state: string;
  readonly #instance: Instance;
  readonly #take: Script;
  readonly #release: Script;
  readonly #onTooLong: () => void;

  /** `onTooLong` is called when this instance takes over a lease that was longer than {@link MAX_LEASE_MS}. */
  constructor(
    committer: RedisClient,
    dlq: string,
    instance: Instance,
    { onTooLong = () => {} }: { onTooLong?: () => void } = {},
  ) {
    this.#onTooLong = onTooLong;
    this.#state = stateKey(dlq);
    this.#instance = instance;
    this.#take = loadScript(committer, { name: "takeLease", keys: 1, lua: takeLease });
    this.#release = loadScript(committer, { name: "releaseLease", keys: 1, lua: releaseLease });
  }

  /** Takes or renews the lease if no other instance holds it, or holds it for longer than allowed; `force`: in any case. */
  async take({ durationMs, force = false }: { durationMs: number; force?: boolean }): Promise<LeaseReply> {
    const { token, name } = this.#instance;
    const reply = await this.#take(this.#state, token, name, durationMs, force ? 1 : 0, MAX_LEASE_MS);
    const [ours, holder, leftMs, tooLong] = reply as [number, Buffer, number, number];
    if (tooLong === 1) this.#onTooLong();
    return { isOurs: ours === 1, holder: toLine(String(holder), MAX_NAME), leftMs };
  }

  /** Releases the lease if it is ours, so that another instance need not wait for its end. */
  async release(): Promise<void> {
    await this.#release(this.#state, this.#instance.token);
  }
}
