/** Shares the probe result among replicas: one probe per cache time, on the Redis server's clock. */
import { createHash } from "node:crypto";
import type { RedisClient } from "../redis/cluster.ts";
import claimLua from "../redis/scripts/claim_probe.lua" with { type: "text" };
import recordLua from "../redis/scripts/record_probe.lua" with { type: "text" };
import { loadScript, type Script } from "../redis/scripts.ts";
import { createId } from "../runtime/random.ts";
import { FETCH_FAILURES, type FetchOutcome, TLS_FLAWS } from "../runtime/bounded_fetch.ts";
import type { ProbeAccess } from "./moogsoft_probe.ts";

/** Result of a claim. */
export type ProbeClaim =
  | { readonly kind: "fresh"; readonly outcome: FetchOutcome; readonly ageMs: number }
  /** Another replica is probing. */
  | { readonly kind: "probing" }
  /** The caller must probe and pass the token to {@link SharedProbe.write}. */
  | { readonly kind: "claimed"; readonly token: string };

/** Options of {@link SharedProbe}. */
export interface SharedProbeOptions {
  readonly redis: RedisClient;
  /** How long a result is fresh, in milliseconds. */
  readonly cacheMs: number;
  /** How long a claim excludes other replicas, in milliseconds: slightly longer than a probe. */
  readonly leaseMs: number;
}

/** Reads and writes the shared probe record. Each method makes one Redis call and rejects with the client's errors. */
export class SharedProbe {
  readonly #options: SharedProbeOptions;
  readonly #claim: Script;
  readonly #record: Script;

  constructor(options: SharedProbeOptions) {
    this.#options = options;
    this.#claim = loadScript(options.redis, { name: "claimProbe", keys: 1, lua: claimLua });
    this.#record = loadScript(options.redis, { name: "recordProbe", keys: 1, lua: recordLua });
  }

  /** Returns a fresh result, or decides who probes. An unreadable record counts as missing. */
  async claim(key: string): Promise<ProbeClaim> {
    const { cacheMs, leaseMs } = this.#options;
    const token = createId();
    const reply = await this.#claim(key, cacheMs, leaseMs, token) as Buffer[];
    const [verdict, text = "", ageMs] = reply.map(String);
    if (verdict === "probing") return { kind: "probing" };
    const outcome = verdict === "fresh" ? parseOutcome(text) : undefined;
    return outcome === undefined ? { kind: "claimed", token } : { kind: "fresh", outcome, ageMs: Number(ageMs) };
  }

  /** Shares a result, unless another replica has taken over the claim. */
  async write({ key, token }: { key: string; token: string }, outcome: FetchOutcome): Promise<void> {
    const { cacheMs, leaseMs } = this.#options;
    await this.#record(key, token, formatOutcome(outcome), cacheMs + leaseMs);
  }
}

/** Everything that the probe's answer depends on. */
export interface Asking extends ProbeAccess {
  readonly url: URL;
  /** The proxy's URL. */
  readonly proxy: URL | undefined;
}

/**
 * Returns the record's key: a fingerprint of everything that the answer depends on. Replicas with equal inputs share a
 * result, and a renewed key or certificate invalidates it. Of the secrets the key holds only 64 bits of a digest over
 * all inputs.
 */
export function probeKey({ url, apiKey, caCert, proxy }: Asking): string {
  const asked = JSON.stringify([url.href, apiKey?.reveal() ?? null, caCert ?? null, proxy?.href ?? null]);
  return `mutt:remediation:probe:${createHash("sha256").update(asked).digest("hex").slice(0, 16)}`;
}

function formatOutcome(outcome: FetchOutcome): string {
  if (outcome.kind === "answered") return String(outcome.status);
  return outcome.kind === "tls" ? `tls:${outcome.flaw}` : outcome.kind;
}

function parseOutcome(text: string): FetchOutcome | undefined {
  const kind = FETCH_FAILURES.find((one) => one === text);
  if (kind !== undefined) return { kind };
  const flaw = TLS_FLAWS.find((one) => `tls:${one}` === text);
  if (flaw !== undefined) return { kind: "tls", flaw };
  return /^[1-5]\d\d$/.test(text) ? { kind: "answered", status: Number(text) } : undefined;
}
