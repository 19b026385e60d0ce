/** What the instances share about the API: the secret that signs sessions, and answers to requests that may be repeated. */
import type { RedisClient } from "./cluster.ts";
import { requestKey, requestsKey, sessionSecretKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import claimRequest from "./scripts/claim_request.lua" with { type: "text" };
import settleRequest from "./scripts/settle_request.lua" with { type: "text" };
import shareSecret from "./scripts/share_secret.lua" with { type: "text" };

/** How long a request that runs is protected from its repetition, in milliseconds; the instance that runs it renews this. */
const CLAIM_MS = 60_000;
/** Most requests whose answers are kept: those of older ones are dropped. */
export const MOST_REQUESTS = 1_000;
/** How long an answer is kept, in milliseconds. */
const ANSWER_MS = 86_400_000;
/** How long an answer is kept that only those get who wait for it: clients ask again every second. */
const PASSING_MS = 15_000;
/** Expiry of a request that may be repeated at once, in milliseconds. */
const FORGET_MS = 1;

/** Keeps both in Redis. Calls reject with a `StoreError`. */
export class ApiStore {
  readonly #claim: Script;
  readonly #settle: Script;
  readonly #shareSecret: Script;

  constructor(reader: RedisClient) {
    this.#claim = loadScript(reader, { name: "claimRequest", keys: 2, lua: claimRequest });
    this.#settle = loadScript(reader, { name: "settleRequest", keys: 1, lua: settleRequest });
    this.#shareSecret = loadScript(reader, { name: "shareSecret", keys: 1, lua: shareSecret });
  }

  /** Returns the shared secret. If none is stored, stores `proposal`. */
  async sessionSecret(proposal: string): Promise<string> {
    return String(await this.#shareSecret(sessionSecretKey(), proposal));
  }

  /** Claims a request. Returns `null`, or what is stored: another claim, or the answer. */
  async claim(digest: string, claim: string): Promise<string | null> {
    const stored = await this.#claim(requestKey(digest), requestsKey(), claim, CLAIM_MS, MOST_REQUESTS, ANSWER_MS);
    return stored === null ? null : String(stored);
  }

  /** Lets a claim live longer. Does nothing if it has expired. */
  async renew(digest: string, claim: string): Promise<void> {
    await this.#settle(requestKey(digest), claim, claim, CLAIM_MS);
  }

  /**
   * Stores the answer of a claimed request; `null`: the request may be repeated. `isPassing`: another try may have another answer, so
   * this one is kept only for a client that waits for it.
   */
  async settle(
    digest: string,
    { claim, answer, isPassing = false }: { claim: string; answer: string | null; isPassing?: boolean },
  ): Promise<void> {
    const keepMs = answer === null ? FORGET_MS : isPassing ? PASSING_MS : ANSWER_MS;
    await this.#settle(requestKey(digest), claim, answer ?? claim, keepMs);
  }
}
