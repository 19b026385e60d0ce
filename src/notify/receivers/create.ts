/** Creates receivers from the notify file. */
import type { ReceiverDefinition, ReceiverType } from "../../config/notify.ts";
import { type Receiver, ReceiverError, SEND_TIMEOUT_MS } from "../receiver.ts";
import { createAlertmanager } from "./alertmanager.ts";
import type { ReceiverDeps } from "./deps.ts";
import { createEmail } from "./email.ts";
import { createPagerDuty } from "./pagerduty.ts";
import type { ReceiverFactory, ReceiverParts, ReceiverTools } from "./parts.ts";
import { RenewedFile } from "./renewed_file.ts";
import { createSlack } from "./slack.ts";
import { createTeams } from "./teams.ts";
import { cleanNotice } from "./text.ts";
import { createWebhook } from "./webhook.ts";

const FACTORIES: { readonly [Type in ReceiverType]: ReceiverFactory<Type> } = {
  slack: createSlack,
  email: createEmail,
  teams: createTeams,
  pagerduty: createPagerDuty,
  webhook: createWebhook,
  alertmanager: createAlertmanager,
};

/** Creates a receiver. Does no IO: its files are read for each notice. */
export function createReceiver(definition: ReceiverDefinition, deps: ReceiverDeps): Receiver {
  const { name, type, caFile } = definition;
  const file = (member: string, options: { path: string; kind: RenewedFileKind }) =>
    new RenewedFile({ ...options, member: `receivers.${name}.${member}` }, deps);
  const tools: ReceiverTools = {
    ...deps,
    secretFile: file,
    authorities: caFile === null ? null : file("caFile", { path: caFile, kind: "certificates" }),
  };
  const create = FACTORIES[type] as ReceiverFactory<ReceiverType>;
  return new FramedReceiver({ name, type }, { parts: create(definition, tools), deps });
}

type RenewedFileKind = ConstructorParameters<typeof RenewedFile>[0]["kind"];

/** Cleans texts, bounds the time, and can be closed. */
class FramedReceiver implements Receiver {
  readonly name: string;
  readonly type: ReceiverType;
  readonly repeatMs: number | null;
  readonly #parts: ReceiverParts;
  readonly #deps: ReceiverDeps;
  readonly #closing = new AbortController();

  constructor(
    { name, type }: Pick<Receiver, "name" | "type">,
    { parts, deps }: { parts: ReceiverParts; deps: ReceiverDeps },
  ) {
    this.name = name;
    this.type = type;
    this.repeatMs = parts.repeatMs ?? null;
    this.#parts = parts;
    this.#deps = deps;
  }

  async send(notice: Parameters<Receiver["send"]>[0], signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps, over = new AbortController();
    let isLate = false;
    const deadline = clock.sleep(SEND_TIMEOUT_MS, over.signal).then(() => {
      isLate = !over.signal.aborted;
      over.abort();
    });
    try {
      const ended = AbortSignal.any([over.signal, signal, this.#closing.signal]);
      if (ended.aborted) throw new ReceiverError("aborted", "sending was stopped");
      await this.#parts.send(cleanNotice(notice), ended);
    } catch (error) {
      if (!isLate) throw error;
      throw new ReceiverError("timeout", `${this.name} did not take the notice within ${SEND_TIMEOUT_MS / 1_000} s`);
    } finally {
      over.abort();
      await deadline;
    }
  }

  close(): void {
    this.#closing.abort();
  }
}
