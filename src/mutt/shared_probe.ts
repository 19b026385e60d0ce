/** The probe result that all replicas share: one probe per cache time, by the Redis server's clock. */
import { createHash } from "node:crypto";
import type { RedisClient } from "../redis/cluster.ts";
import claimLua from "../redis/scripts/claim_probe.lua" with { type: "text" };
import recordLua from "../redis/scripts/record_probe.lua" with { type: "text" };
import { loadScript, type Script } from "../redis/scripts.ts";
import { createId } from "../runtime/random.ts";
import { FETCH_FAILURES, type FetchOutcome, TLS_FLAWS } from "../runtime/bounded_fetch.ts";
import type { ProbeAccess } from "./moogsoft_probe.ts";

/** What a claim was answered with. */
export type ProbeClaim =
  | { readonly kind: "fresh"; readonly outcome: FetchOutcome; readonly ageMs: number }
  /** Another replica is at it. */
  | { readonly kind: "probing" }
  /** The caller probes now, and passes the token to {@link SharedProbe.write}. */
  | { readonly kind: "claimed"; readonly token: string };

/** What a {@link SharedProbe} needs. */
export interface SharedProbeOptions {
  readonly redis: RedisClient;
  /** How long a result is fresh. */
  readonly cacheMs: number;
  /** How long a claim keeps others off: a little longer than a probe can take. */
  readonly leaseMs: number;
}

/** Reads and writes the shared record. Every method is one Redis call and rejects with the client's errors. */
export class SharedProbe {
  readonly #options: SharedProbeOptions;
  readonly #claim: Script;
  readonly #record: Script;

  constructor(options: SharedProbeOptions) {
    this.#options = options;
    this.#claim = loadScript(options.redis, { name: "claimProbe", keys: 1, lua: claimLua });
    this.#record = loadScript(options.redis, { name: "recordProbe", keys: 1, lua: recordLua });
  }

  /** The fresh result if there is one, else who probes. A record that cannot be read counts as none. */
  async claim(key: string): Promise<ProbeClaim> {
    const { cacheMs, leaseMs } = this.#options;
    const token = createId();
    const reply = await this.#claim(key, cacheMs, leaseMs, token) as Buffer[];
    const [verdict, text = "", ageMs] = reply.map(String);
    if (verdict === "probing") return { kind: "probing" };
    const outcome = verdict === "fresh" ? parseOutcome(text) : undefined;
    return outcome === undefined ? { kind: "claimed", token } : { kind: "fresh", outcome, ageMs: Number(ageMs) };
  }

  /** Shares a result, unless the claim on the key was lost to another replica meanwhile. */
  async write({ key, token }: { key: string; token: string }, outcome: FetchOutcome): Promise<void> {
    const { cacheMs, leaseMs } = this.#options;
    await this.#record(key, token, formatOutcome(outcome), cacheMs + leaseMs);
  }
}

/** What was asked, and with what. */
export interface Asking extends ProbeAccess {
  readonly url: URL;
  /** The proxy's URL. */
  readonly proxy: URL | undefined;
}

/**
 * The record's key: a fingerprint of all that the answer depends on, so that a result holds for those that ask alike, and for
 * nobody after a key or certificate was renewed. Of a secret it holds 64 bits of a digest over everything together, no more.
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
