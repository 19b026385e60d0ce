/** Provides the Moogsoft probe's API key and CA certificate, re-read while the service runs. */
import { readAuthority } from "../config/authority.ts";
import { FIELDS, type Settings } from "../config/fields.ts";
import type { SecretReader } from "../config/load.ts";
import { usesMoogAuthority } from "../config/rules.ts";
import { Secret } from "../runtime/secret.ts";
import type { ProbeAccess } from "./moogsoft_probe.ts";
import type { Log } from "../observability/log.ts";
import { readTextFile } from "../runtime/process.ts";

/** Options of {@link MoogAccess}. */
export interface MoogAccessOptions {
  readonly settings: Pick<Settings, "moogApiKey" | "moogCaCertPath" | "moogWebhookUrl">;
  /** Reads the current value of a secret; `null` if it cannot change. Default: the value from the settings. */
  readonly readSecret?: SecretReader | undefined;
  readonly log: Log;
}

/**
 * Reads the API key and CA certificate. If a read fails, the last good value stays in use. Logs each change and each
 * problem once.
 */
export class MoogAccess {
  readonly #options: MoogAccessOptions;
  #last: ProbeAccess;
  /** Problems already logged, by variable. */
  readonly #troubles = new Map<string, string>();

  constructor(options: MoogAccessOptions) {
    this.#options = options;
    this.#last = { apiKey: copyOf(options.settings.moogApiKey), caCert: undefined };
    this.#last = this.#read();
  }

  /** Returns the current key and certificate. Reads the files. Does not throw. */
  now(): ProbeAccess {
    const before = this.#last, after = this.#last = this.#read();
    if (before.apiKey?.reveal() !== after.apiKey?.reveal()) this.#tellChange(FIELDS.moogApiKey.variable);
    if (before.caCert !== after.caCert) this.#tellChange(FIELDS.moogCaCertPath.variable);
    return after;
  }

  #read(): ProbeAccess {
    return { apiKey: this.#readKey(), caCert: this.#readAuthority() };
  }

  #readKey(): ProbeAccess["apiKey"] {
    const { settings, readSecret } = this.#options;
    const read = readSecret?.("moogApiKey") ?? { ok: true, value: null };
    this.#tellTrouble(FIELDS.moogApiKey.variable, read.ok ? undefined : read.problem);
    return read.ok ? copyOf(read.value ?? settings.moogApiKey) : this.#last.apiKey;
  }

  #readAuthority(): string | undefined {
    const { settings } = this.#options;
    if (!usesMoogAuthority(settings)) return undefined;
    const name = FIELDS.moogCaCertPath.variable;
    const { pem, problem } = readAuthority(settings.moogCaCertPath, { name, readFile: readTextFile });
    this.#tellTrouble(name, problem);
    return pem ?? this.#last.caCert;
  }

  #tellTrouble(variable: string, problem: string | undefined): void {
    if (this.#troubles.get(variable) === problem) return;
    if (problem === undefined) this.#troubles.delete(variable);
    else {
      this.#troubles.set(variable, problem);
      this.#options.log.warning("moog_access_unreadable", `Remediation: ${problem}; keeping the last value`);
    }
  }

  #tellChange(variable: string): void {
    const text = `Remediation: ${variable} has changed; probing Moogsoft again`;
    this.#options.log.info("moog_access_changed", text, { variable });
  }
}

/** Copies the current value, because the owner of a secret may replace it. An empty secret becomes `undefined`. */
function copyOf(secret: Secret | null): Secret | undefined {
  const text = secret?.reveal() ?? "";
  return text === "" ? undefined : new Secret(text);
}
