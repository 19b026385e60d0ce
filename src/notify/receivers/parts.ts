/** What each type of receiver makes, and what it makes it of. */
import type { ReceiverDefinition, ReceiverType } from "../../config/notify.ts";
import type { SecretKindName } from "../../config/notify_secrets.ts";
import type { Notice } from "../notice.ts";
import type { ReceiverDeps } from "./deps.ts";
import type { RenewedFile } from "./renewed_file.ts";

/** A receiver without its frame: texts are clean, and the signal ends it in time. */
export interface ReceiverParts {
  readonly repeatMs?: number;
  /** @throws {ReceiverError} */
  send(notice: Notice, signal: AbortSignal): Promise<void>;
}

/** What a factory uses. */
export interface ReceiverTools extends ReceiverDeps {
  /** A file that the receiver reads for each notice. */
  secretFile(member: string, options: { readonly path: string; readonly kind: SecretKindName }): RenewedFile;
  /** The file with further authorities; `null`: there is none. */
  readonly authorities: RenewedFile | null;
}

/** The definition of a type. */
export type DefinitionOf<Type extends ReceiverType> = Extract<ReceiverDefinition, { readonly type: Type }>;

/** Creates a receiver of a type. */
export type ReceiverFactory<Type extends ReceiverType> = (
  definition: DefinitionOf<Type>,
  tools: ReceiverTools,
) => ReceiverParts;
