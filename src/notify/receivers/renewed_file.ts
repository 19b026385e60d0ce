/** A file with a secret or certificates that is read for each notice, so that it can be renewed while the service runs. */
import { errorName } from "../../config/layers.ts";
import { readSecretText, type SecretKindName } from "../../config/notify_secrets.ts";
import { certificateProblem } from "../../config/pem.ts";
import { quote } from "../../config/redact.ts";
import { Secret } from "../../runtime/secret.ts";
import { ReceiverError } from "../receiver.ts";
import type { ReceiverDeps } from "./deps.ts";

/** Which file. */
export interface RenewedFileOptions {
  readonly path: string;
  /** `certificates`: PEM; else what the secret must be. */
  readonly kind: SecretKindName | "certificates";
  /** Its member in the notify file, for messages: `receivers.ops.urlFile`. */
  readonly member: string;
}

/** Provides the file's content. An unusable file, perhaps half written, is logged once; its last good content stays in use. */
export class RenewedFile {
  readonly #options: RenewedFileOptions;
  readonly #deps: Pick<ReceiverDeps, "readFile" | "log">;
  #good: Secret | null = null;
  /** The problem that was logged last; empty: none. */
  #told = "";

  constructor(options: RenewedFileOptions, deps: Pick<ReceiverDeps, "readFile" | "log">) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Reads the file. @throws {ReceiverError} `secret_file` if it has never been usable */
  read(): Secret {
    const { path, member } = this.#options, file = `${member} ${quote(path)}`;
    const read = this.#parse();
    if (read.ok) {
      const isRenewed = this.#good !== null && this.#good.reveal() !== read.value;
      if (isRenewed) {
        this.#deps.log.info("file_renewed", `${file}: the file has changed and was reread`, { variable: member });
      }
      this.#told = "";
      return this.#good = new Secret(read.value);
    }
    if (this.#good === null) throw new ReceiverError("secret_file", `${file} ${read.problem}`);
    if (this.#told !== read.problem) {
      this.#deps.log.warning("file_not_renewed", `${file} ${read.problem}. The previous content stays in use`);
    }
    this.#told = read.problem;
    return this.#good;
  }

  #parse(): ReturnType<typeof readSecretText> {
    const { path, kind } = this.#options;
    let text: string;
    try {
      text = this.#deps.readFile(path);
    } catch (error) {
      return { ok: false, problem: `cannot be read: ${errorName(error)}` };
    }
    if (kind !== "certificates") return readSecretText(kind, text);
    const problem = certificateProblem(text);
    return problem === null ? { ok: true, value: text } : { ok: false, problem: `cannot be used: ${problem}` };
  }
}
