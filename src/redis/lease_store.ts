/** The leader lease of one source: fields of its record, on the server's clock. */
import { MAX_LEASE_MS } from "../config/fields.ts";
import type { RedisClient } from "./cluster.ts";
import { stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import releaseLease from "./scripts/release_lease.lua" with { type: "text" };
import takeLease from "./scripts/take_lease.lua" with { type: "text" };

/** Longest name of a holder that is shown, in characters. */
const MAX_NAME = 200;

/** Who an instance is to the others. */
export interface Instance {
  /** Unique for each process: a pod's name need not be. */
  readonly token: string;
  /** For people. */
  readonly name: string;
}

/** A lease as it was after an attempt to take it. */
export interface LeaseReply {
  readonly isOurs: boolean;
  /** Name of the instance that holds it. */
  readonly holder: string;
  /** For how long it is held still, in milliseconds. */
  readonly leftMs: number;
}

/** Takes and gives back one lease. Rejects with a `StoreError`. */
export class LeaseStore {
  readonly #state: string;
  readonly #instance: Instance;
  readonly #take: Script;
  readonly #release: Script;
  readonly #onTooLong: () => void;

  /** `onTooLong` is told of a lease that was longer than {@link MAX_LEASE_MS}, when it is taken all the same. */
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

  /** Takes or renews it where nobody else holds it, or for longer than may be; `force`: whoever does. */
  async take({ durationMs, force = false }: { durationMs: number; force?: boolean }): Promise<LeaseReply> {
    const { token, name } = this.#instance;
    const reply = await this.#take(this.#state, token, name, durationMs, force ? 1 : 0, MAX_LEASE_MS);
    const [ours, holder, leftMs, tooLong] = reply as [number, Buffer, number, number];
    if (tooLong === 1) this.#onTooLong();
    return { isOurs: ours === 1, holder: toLine(String(holder)), leftMs };
  }

  /** Gives it back, if it is ours, so that another instance need not wait until it is over. */
  async release(): Promise<void> {
    await this.#release(this.#state, this.#instance.token);
  }
}

/** Anybody may have written it: fit for a terminal, and short. */
function toLine(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").slice(0, MAX_NAME);
}
