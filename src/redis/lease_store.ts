/** A leader lease in fields of a hash, by the server's clock: of one source in its state, or of the notices. */
import { MAX_LEASE_MS } from "../config/fields.ts";
import { toLine } from "../runtime/control_characters.ts";
import type { RedisClient } from "./cluster.ts";
import { loadScript, type Script } from "./scripts.ts";
import offerLease from "./scripts/offer_lease.lua" with { type: "text" };
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
  /** Whether this attempt took it from an instance that had offered it. */
  readonly wasOffered: boolean;
  /** Name of the instance that holds it. */
  readonly holder: string;
  /** Token of the instance that holds it. */
  readonly token: string;
  /** Time left, in milliseconds. */
  readonly leftMs: number;
}

/** An offer of a lease to another instance. */
export interface LeaseOffer {
  /** Token of that instance. */
  readonly to: string;
  /** How long the offer stands, in milliseconds. */
  readonly forMs: number;
}

/** Takes, offers and releases one lease. Rejects with a `StoreError`. */
export class LeaseStore {
  readonly #key: string;
  readonly #instance: Instance;
  readonly #take: Script;
  readonly #offer: Script;
  readonly #release: Script;
  readonly #onTooLong: () => void;

  /** `key`: of the hash. `onTooLong` is called when this instance takes over a lease that was longer than {@link MAX_LEASE_MS}. */
  constructor(
    committer: RedisClient,
    key: string,
    instance: Instance,
    { onTooLong = () => {} }: { onTooLong?: () => void } = {},
  ) {
    this.#onTooLong = onTooLong;
    this.#key = key;
    this.#instance = instance;
    this.#take = loadScript(committer, { name: "takeLease", keys: 1, lua: takeLease });
    this.#offer = loadScript(committer, { name: "offerLease", keys: 1, lua: offerLease });
    this.#release = loadScript(committer, { name: "releaseLease", keys: 1, lua: releaseLease });
  }

  /**
   * Takes or renews the lease if no other instance holds it, holds it for longer than allowed, or has offered it to this one;
   * `force`: in any case.
   */
  async take({ durationMs, force = false }: { durationMs: number; force?: boolean }): Promise<LeaseReply> {
    const { token, name } = this.#instance;
    const reply = await this.#take(this.#key, token, name, durationMs, force ? 1 : 0, MAX_LEASE_MS);
    const [ours, holder, leftMs, tooLong, leader, offered] = reply as [number, Buffer, number, number, Buffer, number];
    if (tooLong === 1) this.#onTooLong();
    return {
      ...{ isOurs: ours === 1, wasOffered: offered === 1, leftMs },
      ...{ holder: toLine(String(holder), MAX_NAME), token: toLine(String(leader), MAX_NAME) },
    };
  }

  /** Offers the lease to another instance, and keeps it until that one takes it. @returns false if it is not ours */
  async offer({ to, forMs }: LeaseOffer): Promise<boolean> {
    return await this.#offer(this.#key, this.#instance.token, to, forMs) === 1;
  }

  /** Releases the lease if it is ours, so that another instance need not wait for its end. */
  async release(): Promise<void> {
    await this.#release(this.#key, this.#instance.token);
  }
}
