/**
 * Certificates, keys and secrets whose files are renewed while the service runs. They are read again whenever a connection is
 * made. What cannot be used is told once, and what was read before holds: a file may be half written.
 */
import { FIELDS, type Settings } from "../config/fields.ts";
import { errorName } from "../config/layers.ts";
import type { SecretReader } from "../config/load.ts";
import { certificateProblem, pairProblem } from "../config/pem.ts";
import { quote } from "../config/redact.ts";
import { TLS_FILES, usesTls } from "../config/rules.ts";
import type { Secret } from "../runtime/secret.ts";
import type { Log } from "../observability/log.ts";
import { readTextFile } from "../runtime/process.ts";

type TlsFile = typeof TLS_FILES[number];
/** The secrets that connections to Redis are made with. */
const SECRETS = ["redisUrl", "redisPassword", "redisPasswordNext", "redisSentinelPassword"] as const;
type RedisSecret = typeof SECRETS[number];

/** What {@link RenewedFiles} needs. */
export interface RenewedFilesDeps {
  readonly settings: Pick<Settings, TlsFile | RedisSecret | "redisTls">;
  /** Reads a secret's file again; default: secrets stay as they are. */
  readonly readSecret?: SecretReader | undefined;
  readonly log: Log;
}

/** What the files hold now. Reads them at once; no method throws after that. */
export class RenewedFiles {
  readonly #deps: RenewedFilesDeps;
  #ca: string;
  #pair: { readonly cert: string; readonly key: string };
  readonly #secrets: Map<RedisSecret, Secret | null>;
  /** The problem of each file that was last told. */
  readonly #told = new Map<string, string>();

  /** @throws what the runtime throws where a file cannot be read at all */
  constructor(deps: RenewedFilesDeps) {
    this.#deps = deps;
    const first = (key: TlsFile) => this.#isUsed(key) ? readTextFile(deps.settings[key]) : "";
    this.#ca = first("redisCaCertPath");
    this.#pair = { cert: first("redisClientCertPath"), key: first("redisClientKeyPath") };
    this.#secrets = new Map(SECRETS.map((key) => [key, deps.settings[key]]));
  }

  /** The authorities' certificates; empty: the system's own. */
  caCert(): string {
    const text = this.#read("redisCaCertPath");
    if (text === null || text === this.#ca) return this.#ca;
    const problem = certificateProblem(text);
    if (problem !== null) return this.#refuse("redisCaCertPath", problem), this.#ca;
    this.#renewed(["redisCaCertPath"], FIELDS.redisCaCertPath.variable);
    return this.#ca = text;
  }

  /** The client's certificate and the key that belongs to it; empty: there is none. */
  clientPair(): { readonly cert: string; readonly key: string } {
    const [cert, key] = [this.#read("redisClientCertPath"), this.#read("redisClientKeyPath")];
    if (cert === null || key === null || (cert === this.#pair.cert && key === this.#pair.key)) return this.#pair;
    const problem = pairProblem(cert, key);
    if (problem !== null) {
      this.#refuse(problem.file === "cert" ? "redisClientCertPath" : "redisClientKeyPath", problem.text);
      return this.#pair;
    }
    this.#renewed(["redisClientCertPath", "redisClientKeyPath"], FIELDS.redisClientCertPath.variable);
    return this.#pair = { cert, key };
  }

  /** A secret; `null`: it is not set. */
  secret(key: RedisSecret): Secret | null {
    const before = this.#secrets.get(key)!, read = this.#deps.readSecret?.(key) ?? null;
    if (read === null) return before;
    if (!read.ok) this.#tell(key, read.problem);
    if (!read.ok || read.value?.reveal() === before?.reveal()) return before;
    this.#secrets.set(key, read.value);
    this.#renewed([key], `${FIELDS[key].variable}_FILE`);
    return read.value;
  }

  /** Reads every file again, and tells what has changed. @returns whether there is a file at all */
  readAll(): boolean {
    this.caCert();
    this.clientPair();
    for (const key of SECRETS) this.secret(key);
    const hasAny = TLS_FILES.some((key) => this.#isUsed(key)) || SECRETS.some((key) => this.#deps.readSecret?.(key));
    const message =
      "Remediation: the files of certificates and secrets were read again: the next connection is made with them";
    if (hasAny) this.#deps.log.info("files_read", message);
    return hasAny;
  }

  #isUsed(key: TlsFile): boolean {
    const { settings } = this.#deps;
    return settings[key] !== "" && usesTls(settings);
  }

  #read(key: TlsFile): string | null {
    if (!this.#isUsed(key)) return "";
    try {
      const text = readTextFile(this.#deps.settings[key]);
      if (text !== "") return text;
      this.#refuse(key, "it is empty");
    } catch (error) {
      this.#refuse(key, errorName(error));
    }
    return null;
  }

  #refuse(key: TlsFile, problem: string): void {
    this.#tell(key, `${FIELDS[key].variable} ${quote(this.#deps.settings[key])} cannot be used: ${problem}`);
  }

  #tell(key: string, problem: string): void {
    if (this.#told.get(key) === problem) return;
    this.#told.set(key, problem);
    this.#deps.log.warning("file_not_renewed", `${problem}. What it held before holds`);
  }

  #renewed(keys: readonly string[], variable: string): void {
    for (const key of keys) this.#told.delete(key);
    this.#deps.log.info("file_renewed", `${variable}: the file has changed and was read again`, { variable });
  }
}
