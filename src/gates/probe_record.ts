/** The probe result that all replicas share: one probe per cache time, by the Redis server's clock. */
import { createHash } from "node:crypto";
import type { RedisClient } from "../redis/cluster.ts";
import claimLua from "../redis/scripts/claim_probe.lua" with { type: "text" };
import recordLua from "../redis/scripts/record_probe.lua" with { type: "text" };
import { loadScript, type Script } from "../redis/scripts.ts";
import { createId } from "../runtime/random.ts";
import type { ExchangeOutcome } from "../runtime/exchange.ts";

/** What a claim was answered with. */
export type ProbeClaim =
  | { readonly kind: "fresh"; readonly outcome: ExchangeOutcome; readonly ageMs: number }
  /** Another replica is at it. */
  | { readonly kind: "probing" }
  /** The caller probes now, and passes the token to {@link ProbeRecord.write}. */
  | { readonly kind: "claimed"; readonly token: string };

/** What a {@link ProbeRecord} needs. */
export interface ProbeRecordOptions {
  readonly redis: RedisClient;
  readonly url: URL;
  /** How long a result is fresh. */
  readonly cacheMs: number;
  /** How long a claim keeps others off: a little longer than a probe can take. */
  readonly leaseMs: number;
}

/** Reads and writes the shared record. Every method is one Redis call and rejects with the client's errors. */
export class ProbeRecord {
  readonly #options: ProbeRecordOptions;
  readonly #key: string;
  readonly #claim: Script;
  readonly #record: Script;

  constructor(options: ProbeRecordOptions) {
    this.#options = options;
    this.#key = probeKey(options.url);
    this.#claim = loadScript(options.redis, { name: "claimProbe", keys: 1, lua: claimLua });
    this.#record = loadScript(options.redis, { name: "recordProbe", keys: 1, lua: recordLua });
  }

  /** The fresh result if there is one, else who probes. A record that cannot be read counts as none. */
  async claim(): Promise<ProbeClaim> {
    const { cacheMs, leaseMs } = this.#options;
    const token = createId();
    const reply = await this.#claim(this.#key, cacheMs, leaseMs, token) as Buffer[];
    const [verdict, text = "", ageMs] = reply.map(String);
    if (verdict === "probing") return { kind: "probing" };
    const outcome = verdict === "fresh" ? parseOutcome(text) : undefined;
    return outcome === undefined ? { kind: "claimed", token } : { kind: "fresh", outcome, ageMs: Number(ageMs) };
  }

  /** Shares a result, unless the claim was lost to another replica meanwhile. */
  async write(token: string, outcome: ExchangeOutcome): Promise<void> {
    const { cacheMs, leaseMs } = this.#options;
    await this.#record(this.#key, token, formatOutcome(outcome), cacheMs + leaseMs);
  }
}

/** The record's key: another URL has another result. Credentials are left out of the digest. */
export function probeKey(url: URL): string {
  const digest = createHash("sha256").update(`${url.origin}${url.pathname}${url.search}`).digest("hex");
  return `mutt:remediation:probe:${digest.slice(0, 16)}`;
}

function formatOutcome(outcome: ExchangeOutcome): string {
  return outcome.kind === "answered" ? String(outcome.status) : outcome.kind;
}

function parseOutcome(text: string): ExchangeOutcome | undefined {
  if (text === "timeout" || text === "unreachable") return { kind: text };
  return /^[1-5]\d\d$/.test(text) ? { kind: "answered", status: Number(text) } : undefined;
}
