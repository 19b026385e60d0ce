/**
 * Certificates, keys and secrets that may be renewed on disk while the service runs. Each new connection rereads them.
 * An unusable file, perhaps half written, is logged once, and its previous content stays in use.
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
/** The secrets of Redis connections. */
const SECRETS = ["redisUrl", "redisPassword", "redisPasswordNext", "redisSentinelPassword"] as const;
type RedisSecret = typeof SECRETS[number];

/** Dependencies of {@link RenewedFiles}. */
export interface RenewedFilesDeps {
  readonly settings: Pick<Settings, TlsFile | RedisSecret | "redisTls">;
  /** Rereads a secret's file; default: secrets never change. */
  readonly readSecret?: SecretReader | undefined;
  readonly log: Log;
}

/** Provides the current content of the files. The constructor reads all of them; no method throws. */
export class RenewedFiles {
  readonly #deps: RenewedFilesDeps;
  #ca: string;
  #pair: { readonly cert: string; readonly key: string };
  readonly #secrets: Map<RedisSecret, Secret | null>;
  /** Last logged problem, by file. */
  readonly #told = new Map<string, string>();

  /** @throws the runtime's error if a file cannot be read */
  constructor(deps: RenewedFilesDeps) {
    this.#deps = deps;
    const first = (key: TlsFile) => this.#isUsed(key) ? readTextFile(deps.settings[key]) : "";
    this.#ca = first("redisCaCertPath");
    this.#pair = { cert: first("redisClientCertPath"), key: first("redisClientKeyPath") };
    this.#secrets = new Map(SECRETS.map((key) => [key, deps.settings[key]]));
  }

  /** CA certificates; empty: the system's. */
  caCert(): string {
    const text = this.#read("redisCaCertPath");
    if (text === null || text === this.#ca) return this.#ca;
    const problem = certificateProblem(text);
    if (problem !== null) return this.#refuse("redisCaCertPath", problem), this.#ca;
    this.#renewed(["redisCaCertPath"], FIELDS.redisCaCertPath.variable);
    return this.#ca = text;
  }

  /** Client certificate and matching key; empty: none. */
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

  /** A secret; `null` if not set. */
  secret(key: RedisSecret): Secret | null {
    const before = this.#secrets.get(key)!, read = this.#deps.readSecret?.(key) ?? null;
    if (read === null) return before;
    if (!read.ok) this.#tell(key, read.problem);
    if (!read.ok || read.value?.reveal() === before?.reveal()) return before;
    this.#secrets.set(key, read.value);
    this.#renewed([key], `${FIELDS[key].variable}_FILE`);
    return read.value;
  }

  /** Rereads every file and logs changes. @returns whether any file is configured */
  readAll(): boolean {
    this.caCert();
    this.clientPair();
    for (const key of SECRETS) this.secret(key);
    const hasAny = TLS_FILES.some((key) => this.#isUsed(key)) || SECRETS.some((key) => this.#deps.readSecret?.(key));
    const message = "Remediation: certificate and secret files were reread; the next connection uses them";
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
    this.#deps.log.warning("file_not_renewed", `${problem}. The previous content stays in use`);
  }

  #renewed(keys: readonly string[], variable: string): void {
    for (const key of keys) this.#told.delete(key);
    this.#deps.log.info("file_renewed", `${variable}: the file has changed and was reread`, { variable });
  }
}
