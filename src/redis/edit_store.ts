/**
 * Replaces one message of a list in its place, in one script: the replaced one goes to a trash list that expires, and the edit is
 * kept as an ended job. Like a move, it checks the source's sequence number and leaves a receipt.
 */
import { Buffer } from "node:buffer";
import type { JobList } from "../cycle/running_job.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import { StoreError, unknownAnswer } from "./errors.ts";
import { claimKey, jobKey, jobsKey, receiptKey, stateKey, trashKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import editMessage from "./scripts/edit_message.lua" with { type: "text" };
import settleCommit from "./scripts/settle_commit.lua" with { type: "text" };

/**
 * The results of an edit. All except `ok` changed nothing; `busy`: a job runs on the source or the list; `conflict`: another message
 * is at the place; `gone`: the trash no longer holds the payload; `started`: the plan that it would end is no longer
 * planned.
 */
export const EDIT_RESULTS = ["ok", "stale", "expired", "busy", "conflict", "gone", "started", "wrong_type"] as const;
/** One of {@link EDIT_RESULTS}. */
export type EditResult = (typeof EDIT_RESULTS)[number];

/** A message to replace. */
export interface MessageReplacement {
  /** Id of the job that the edit is kept as, unique for each call. */
  readonly job: string;
  /** Sequence number of the state, read before the message. */
  readonly sequence: string;
  /** The edit must not run after this time, by the server's clock. */
  readonly notAfterMs: number;
  readonly list: JobList;
  /** From 1 at the oldest. */
  readonly place: number;
  /** SHA-1 of the message at the place. */
  readonly digest: string;
  /** What comes to its place: these bytes, or the message of this digest in the trash of an earlier edit. */
  readonly payload: Uint8Array | { readonly trashOf: string; readonly digest: string };
  /** Time until the job and the trash expire, in milliseconds. */
  readonly keepMs: number;
  readonly trashMs: number;
  /** Name of the operator, and the planned job that the edit ends, with its result; `null`: none. */
  readonly by: string;
  readonly ends: { readonly plan: string; readonly result: string } | null;
  /** Fields of the job. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Replaces messages of one source. Calls reject with a `StoreError`. Any number may run at a time. */
export class EditStore {
  readonly #policy: SourcePolicy;
  readonly #edit: Script;
  readonly #resolveLost: Script;

  constructor(committer: RedisClient, policy: SourcePolicy) {
    this.#policy = policy;
    this.#edit = loadScript(committer, { name: "editMessage", keys: 9, lua: editMessage, push: policy.push });
    this.#resolveLost = loadScript(committer, { name: "settleCommit", keys: 2, lua: settleCommit });
  }

  /** Replaces the message. If the reply is lost, it finds out whether the script ran, and makes sure that it does not run later. */
  async replace(replacement: MessageReplacement): Promise<EditResult> {
    const { dlq } = this.#policy, { job } = replacement, receipt = receiptKey(dlq, job);
    const { list, place, digest, payload, keepMs, trashMs, by, ends, fields, sequence, notAfterMs } = replacement;
    const target = list === "dead" ? this.#policy.dead : dlq, trash = trashKey(dlq, job);
    const isGiven = payload instanceof Uint8Array, from = isGiven ? trash : trashKey(dlq, payload.trashOf);
    const state = stateKey(dlq), plan = jobKey(dlq, ends?.plan ?? job);
    const keys = [target, trash, state, receipt, jobKey(dlq, job), jobsKey(dlq), claimKey(target), from, plan];
    const given = isGiven ? Buffer.from(payload.buffer, payload.byteOffset, payload.length) : "";
    try {
      return toResult(
        await this.#edit(
          ...[...keys, sequence, job, Math.round(notAfterMs), "", job, place, digest],
          ...[given, isGiven ? "" : payload.digest, keepMs, trashMs, by, ends?.result ?? ""],
          ...Object.entries(fields).flat(),
        ),
      );
    } catch (error) {
      if (!(error instanceof StoreError) || error.isCertain) throw error;
      return await this.#resolveLost(state, receipt, job) === 1 ? "ok" : "stale";
    }
  }
}

function toResult(reply: unknown): EditResult {
  const result = EDIT_RESULTS.find((one) => one === String(reply));
  if (result === undefined) throw unknownAnswer(reply);
  return result;
}
