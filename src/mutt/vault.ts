/**
 * Reads secrets from Vault as MUTT's services do (contract §3.3): AppRole login, one secret in KV version 2, token
 * renewal. Three details:
 *
 * - MUTT's client puts its own mount before the path, so it reads `secret/mutt` at `/v1/secret/data/secret/mutt`.
 * - Role id, secret id and token go only to `VAULT_ADDR`: redirects are not followed.
 * - Logs show only the status of an answer, because its text may repeat the request.
 */
import { FIELDS, type Settings } from "../config/fields.ts";
import { errorName, quotePath } from "../config/layers.ts";
import { LiveSecret, Secret } from "../runtime/secret.ts";
import { VAULT_NAMES, type VaultTarget, vaultTargets } from "../config/vault.ts";
import { growingPauseMs, PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import { HealthLog } from "../lifecycle/outage_log.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { createProxyChoice } from "../config/proxy.ts";
import { describeFailure } from "../gates/fetch_words.ts";
import { fetchStatus } from "../runtime/bounded_fetch.ts";
import { readTextFile } from "../runtime/process.ts";
import type { Teardown } from "../lifecycle/teardown.ts";

/** Time limit of one request, and most bytes read of an answer. */
const TIMEOUT_MS = 5_000, ANSWER_BYTES = 65_536;
/**
 * Shortest pause between two reads, in milliseconds. After failures the pause starts there and doubles up to the
 * longest.
 */
const SHORTEST_PAUSE_MS = 5_000, LONGEST_RETRY_MS = 80_000;
/** A token with less life left than this is dropped: it might expire before the next read. */
const SHORTEST_LIFE_MS = 2 * SHORTEST_PAUSE_MS;
/** Default mount of MUTT's client. */
const MOUNT = "secret";

/** A request to Vault. */
type Step = "login" | "lookup" | "renewal" | "read";

/** Why a read failed. Closed set, for the log's `reason`. */
type FailureReason =
  | "unreachable"
  | "timeout"
  | "refused"
  | "denied"
  | "missing"
  | "sealed"
  | "redirect"
  | "odd"
  | "file";

class VaultFailure extends Error {
  readonly reason: FailureReason;

  constructor(reason: FailureReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/** Result of the last read, for status output. */
export interface VaultState {
  readonly ok: boolean;
  readonly detail: string;
}

interface VaultDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** A token and its remaining life. */
interface Token {
  readonly text: Secret;
  readonly renewable: boolean;
  /** Milliseconds; `Infinity` if the token never expires. */
  readonly leftMs: number;
}

/** Keeps the secrets of {@link vaultTargets} up to date. If Vault fails, the last secrets stay in use. */
export class VaultSecrets extends PeriodicTask {
  /** The settings with the secrets from Vault; each secret is empty until Vault has answered. */
  readonly settings: Settings;
  readonly #deps: VaultDeps;
  readonly #secrets: ReadonlyMap<VaultTarget, LiveSecret>;
  readonly #health: HealthLog;
  #token: Token | null = null;
  #state: VaultState = { ok: false, detail: "Vault has not been read yet" };
  #hasRead = false;

  constructor(settings: Settings, targets: readonly VaultTarget[], deps: VaultDeps) {
    // The caller does the first read: without it there are no settings to start with.
    super({ clock: deps.clock, firstRun: "after_interval", minPauseMs: SHORTEST_PAUSE_MS });
    this.#deps = deps;
    this.#secrets = new Map(targets.map((target) => [target, new LiveSecret()]));
    this.settings = Object.freeze({ ...settings, ...Object.fromEntries(this.#secrets) });
    this.#health = new HealthLog({ ...deps, event: "vault", subject: "Vault" });
  }

  /** Returns the result of the last read. */
  state(): VaultState {
    return this.#state;
  }

  /** Reads the secrets. Logs in if there is no token, and renews one that is about to expire. Never rejects. */
  protected async run(): Promise<RunResult> {
    let reason = "readable";
    try {
      this.#state = { ok: true, detail: this.#take(await this.#readSecrets()) };
    } catch (error) {
      if (!(error instanceof VaultFailure)) throw error;
      this.#state = { ok: false, detail: error.message };
      reason = error.reason;
    }
    if (!this.stopping.aborted) this.#health.note({ ...this.#state, reason });
    return this.#state.ok ? "done" : "failed";
  }

  /** At most half of the token's remaining life, so that renewal is in time. After failures, a growing pause. */
  protected intervalMs(): number {
    const wantedMs = this.failures > 0
      ? growingPauseMs(this.failures, { firstMs: SHORTEST_PAUSE_MS, maxMs: LONGEST_RETRY_MS })
      : (this.#token?.leftMs ?? 0) / 2;
    return Math.min(this.settings.vaultCheckMs, wantedMs);
  }

  async #readSecrets(): Promise<Readonly<Record<string, unknown>>> {
    this.#token = await this.#keepToken() ?? await this.#logIn();
    const { vaultSecretsPath } = this.settings;
    const answer = await this.#ask("read", `${MOUNT}/data/${vaultSecretsPath}`, { token: this.#token.text });
    const secrets = memberOf(memberOf(answer, "data"), "data");
    if (isObject(secrets)) return secrets;
    // A deleted version leaves this answer.
    throw new VaultFailure("missing", `Vault no longer has a secret at ${this.#path()} (VAULT_SECRETS_PATH)`);
  }

  /** Returns the current token, renewed if due; `null` if a login is needed. */
  async #keepToken(): Promise<Token | null> {
    if (this.#token === null) return null;
    const { text } = this.#token;
    try {
      const data = memberOf(await this.#ask("lookup", "auth/token/lookup-self", { token: text }), "data");
      const token = tokenOf(text, { renewable: memberOf(data, "renewable"), seconds: memberOf(data, "ttl") });
      const isDue = token.renewable && token.leftMs < this.settings.vaultRenewThresholdMs;
      const kept = isDue ? await this.#renew(token) : token;
      // If it still ends soon after a renewal, it has reached its maximum life.
      return kept.leftMs < SHORTEST_LIFE_MS ? null : kept;
    } catch (error) {
      // Revoked or expired: log in again.
      if (error instanceof VaultFailure && error.reason === "denied") return null;
      throw error;
    }
  }

  /** If renewal is refused, the current token may still be valid: that is no failure yet. */
  async #renew(token: Token): Promise<Token> {
    try {
      const path = "auth/token/renew-self";
      const auth = memberOf(await this.#ask("renewal", path, { token: token.text, body: {} }), "auth");
      const seconds = memberOf(auth, "lease_duration");
      return tokenOf(token.text, { renewable: memberOf(auth, "renewable"), seconds });
    } catch (error) {
      if (error instanceof VaultFailure && (error.reason === "denied" || error.reason === "odd")) return token;
      throw error;
    }
  }

  async #logIn(): Promise<Token> {
    const { vaultRoleId } = this.settings;
    const body = { role_id: vaultRoleId?.reveal() ?? "", secret_id: this.#secretId() };
    const auth = memberOf(await this.#ask("login", "auth/approle/login", { body }), "auth");
    const text = memberOf(auth, "client_token");
    if (typeof text !== "string" || !/^[\x21-\x7e]+$/.test(text)) throw this.#odd("login");
    const seconds = memberOf(auth, "lease_duration");
    return tokenOf(new Secret(text), { renewable: memberOf(auth, "renewable"), seconds });
  }

  /** Read each time, because the file is replaced on renewal. */
  #secretId(): string {
    const { vaultSecretId, vaultSecretIdPath } = this.settings;
    if (vaultSecretId !== null) return vaultSecretId.reveal();
    const secretId = this.#readFile("vaultSecretIdPath", vaultSecretIdPath).trim();
    if (secretId === "") throw fileFailure("vaultSecretIdPath", vaultSecretIdPath, "is empty");
    return secretId;
  }

  #readFile(key: "vaultSecretIdPath" | "vaultCaCertPath", path: string): string {
    try {
      return readTextFile(path);
    } catch (error) {
      throw fileFailure(key, path, `cannot be read: ${errorName(error)}`);
    }
  }

  async #ask(
    step: Step,
    path: string,
    { token, body }: { token?: Secret; body?: Readonly<Record<string, string>> },
  ): Promise<unknown> {
    const url = new URL(this.settings.vaultAddr);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/${path}`;
    url.search = url.hash = "";
    const proxy = createProxyChoice(this.settings)(url);
    const outcome = await fetchStatus({
      ...{ url, proxy: proxy?.url },
      method: body === undefined ? "GET" : "POST",
      headers: {
        // Vault's protection against request forgery.
        "x-vault-request": "true",
        ...(token === undefined ? {} : { "x-vault-token": token.reveal() }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...this.#authority(),
      ...{ bodyBytes: ANSWER_BYTES, timeoutMs: TIMEOUT_MS, clock: this.#deps.clock, signal: this.stopping },
    });
    if (outcome.kind !== "answered") {
      const asked = {
        address: url.host,
        proxy,
        url: "VAULT_ADDR",
        timeout: `${TIMEOUT_MS / 1_000} s`,
        authority: "VAULT_CACERT",
      };
      const why = `Vault at ${describeFailure(outcome, asked)}; request: ${step}`;
      throw new VaultFailure(outcome.kind === "timeout" ? "timeout" : "unreachable", why);
    }
    if (outcome.status !== 200) throw this.#refusal(step, outcome.status);
    const answer = parseJson(outcome.body ?? "");
    if (!isObject(answer)) throw this.#odd(step);
    return answer;
  }

  /** Read each time, like the secret id. The runtime silently ignores a file without a certificate. */
  #authority(): { caCert?: string } {
    const { vaultCaCertPath } = this.settings;
    if (vaultCaCertPath === "") return {};
    const caCert = this.#readFile("vaultCaCertPath", vaultCaCertPath);
    if (caCert.includes("-----BEGIN CERTIFICATE-----")) return { caCert };
    throw fileFailure("vaultCaCertPath", vaultCaCertPath, "holds no certificate (PEM)");
  }

  #refusal(step: Step, status: number): VaultFailure {
    const { vaultAddr, vaultSecretId, vaultSecretIdPath } = this.settings;
    const { host } = new URL(vaultAddr);
    const told = `Vault at ${host} answered the ${step} with ${status}`;
    if (status >= 300 && status < 400) {
      return new VaultFailure(
        "redirect",
        `${told}: redirects are not followed; set VAULT_ADDR to the final address`,
      );
    }
    if (status === 503 || status === 429 || status === 472 || status === 473) {
      return new VaultFailure("sealed", `${told}: it is sealed, a standby node, or rate-limited`);
    }
    if (step === "login" && (status === 400 || status === 403)) {
      const from = vaultSecretId === null ? `VAULT_SECRET_ID_FILE ${quotePath(vaultSecretIdPath)}` : "VAULT_SECRET_ID";
      return new VaultFailure("refused", `${told}: VAULT_ROLE_ID or ${from} is wrong, expired or used up`);
    }
    if (status === 403) {
      return new VaultFailure("denied", `${told}: the role may not read ${this.#path()}${this.#hint()}`);
    }
    if (status === 404) {
      return step === "read"
        ? new VaultFailure("missing", `${told}: no secret at ${this.#path()}${this.#hint()}`)
        : new VaultFailure(
          "missing",
          `${told}: AppRole is not enabled at auth/approle, or VAULT_ADDR is not a Vault server`,
        );
    }
    return new VaultFailure("odd", told);
  }

  #odd(step: Step): VaultFailure {
    const { host } = new URL(this.settings.vaultAddr);
    return new VaultFailure("odd", `${host} answered the ${step} with 200 but not in Vault's format; check VAULT_ADDR`);
  }

  /** The request path, for messages. */
  #path(): string {
    return `/v1/${MOUNT}/data/${this.settings.vaultSecretsPath}`;
  }

  /** MUTT's documentation and ConfigMap include the mount in the path, and its client adds the mount again. */
  #hint(): string {
    const [, rest] = /^secret\/(.+)$/.exec(this.settings.vaultSecretsPath) ?? [];
    return rest === undefined
      ? " (VAULT_SECRETS_PATH)"
      : ` (VAULT_SECRETS_PATH; for a secret written by "vault kv put secret/${rest}" it must be ${rest})`;
  }

  /** Applies all secrets or none. @returns the names taken and missing */
  #take(given: Readonly<Record<string, unknown>>): string {
    const found = [...this.#secrets].map(([target, secret]) => {
      const name = VAULT_NAMES[target].find((one) =>
        Object.hasOwn(given, one) && given[one] !== "" && given[one] !== null
      );
      const value = name === undefined ? "" : this.#valueOf(name, { value: given[name], target });
      return { target, secret, name, value };
    });
    const changed = found.filter(({ secret, value }) => secret.set(value)).map(({ target }) => VAULT_NAMES[target][0]);
    if (this.#hasRead && changed.length > 0) {
      const text = `Remediation: secrets in Vault have changed: ${changed.join(", ")}`;
      this.#deps.log.info("vault_changed", text, { names: changed });
    }
    this.#hasRead = true;
    const taken = found.flatMap(({ name }) => name ?? []);
    // The next password exists only during a rotation.
    const missing = found.filter(({ name, target }) => name === undefined && target !== "redisPasswordNext");
    return `${taken.join(", ") || "nothing"} read from ${this.#path()}` +
      missing.map(({ target }) => `; missing ${VAULT_NAMES[target].join(" or ")}`).join("");
  }

  #valueOf(name: string, { value, target }: { value: unknown; target: VaultTarget }): string {
    if (typeof value === "string" && FIELDS[target].parse(value) !== undefined) return value;
    throw new VaultFailure("odd", `${name} at ${this.#path()} of Vault is not ${FIELDS[target].expected}`);
  }
}

/**
 * Returns the options with secrets from Vault after one read, or unchanged if Vault is not configured. Starts the
 * periodic reads.
 */
export async function withVault<
  Options extends VaultDeps & { readonly settings: Settings; readonly signal: AbortSignal },
>(options: Options, teardown: Teardown): Promise<Options & { readonly vault?: VaultSecrets }> {
  const { settings, clock, log, signal } = options;
  const targets = vaultTargets(settings);
  if (targets.length === 0) return options;
  const vault = new VaultSecrets(settings, targets, { clock, log });
  teardown.add("Vault", () => vault.stop());
  // A stop must not wait for a hanging Vault.
  signal.addEventListener("abort", () => void vault.stop(), { once: true });
  await vault.runOnce();
  vault.start();
  return { ...options, settings: vault.settings, vault };
}

function fileFailure(key: "vaultSecretIdPath" | "vaultCaCertPath", path: string, what: string): VaultFailure {
  return new VaultFailure("file", `${FIELDS[key].variable} ${quotePath(path)} ${what}`);
}

/** Vault reports 0 for a token that never expires. */
function tokenOf(text: Secret, { renewable, seconds }: { renewable: unknown; seconds: unknown }): Token {
  const isNumber = typeof seconds === "number" && seconds > 0;
  return { text, renewable: renewable === true, leftMs: isNumber ? seconds * 1_000 : Infinity };
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
