/** Stores the pace ledger in Redis: recent replays of all sources and instances into one rate-limited consumer. */
import type { RedisClient } from "../redis/cluster.ts";
import { formatGrants, type PaceLedger, parseGrants } from "./pace.ts";
import { throwStoreError } from "../redis/errors.ts";
import { paceLedgerKey } from "../redis/keys.ts";
import { loadScript, type Script } from "../redis/scripts.ts";
import writeLedger from "../redis/scripts/write_ledger.lua" with { type: "text" };

/** How long an unused ledger is kept beyond its windows, in milliseconds. */
const KEEP_MS = 60_000;

/** A ledger and its version. */
export interface ReadLedger {
  /** Incremented by every write. */
  readonly version: string;
  readonly ledger: PaceLedger;
}

/** Reads and writes the ledger of one rate limiter. Rejects with a `StoreError`. */
export class PaceLedgerStore {
  readonly #redis: RedisClient;
  readonly #key: string;
  readonly #write: Script;

  /** @param rateKey the limiter's own key; the ledger's key is derived from it */
  constructor(redis: RedisClient, rateKey: string) {
    this.#redis = redis;
    this.#key = paceLedgerKey(rateKey);
    this.#write = loadScript(redis, { name: "writeLedger", keys: 1, lua: writeLedger });
  }

  /** Reads the ledger. */
  async read(): Promise<ReadLedger> {
    const [version, grants, livePeak, livePeakAtMs] = await this.#redis.hmget(
      this.#key,
      ...["version", "grants", "livePeak", "livePeakAtMs"],
    ).catch(throwStoreError);
    const digits = (text: string | null | undefined) => text && /^\d{1,15}$/.test(text) ? text : "0";
    const ledger = {
      grants: parseGrants(grants ?? ""),
      livePeak: Number(digits(livePeak)),
      livePeakAtMs: Number(digits(livePeakAtMs)),
    };
    return { version: digits(version), ledger };
  }

  /** Writes the ledger. Returns false if another instance or source has written since the read. */
  async write({ version, ledger }: ReadLedger, { periodMs }: { periodMs: number }): Promise<boolean> {
    const { grants, livePeak, livePeakAtMs } = ledger;
    const fields = { grants: formatGrants(grants), livePeak, livePeakAtMs };
    const written = await this.#write(this.#key, version, KEEP_MS + 20 * periodMs, ...Object.entries(fields).flat());
    return written === 1;
  }
}
