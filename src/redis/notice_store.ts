/** What the notifier keeps: its lease, the incidents, what each receiver was sent. Calls reject with a `StoreError`; none is retried. */
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer, wrongTypeError } from "./errors.ts";
import { ENTRIES_KEPT } from "./journal_store.ts";
import { journalHeadKey, journalKey, noticesKey } from "./keys.ts";
import { type Instance, LeaseStore } from "./lease_store.ts";
import { loadScript, type Script } from "./scripts.ts";
import { toLine } from "../runtime/control_characters.ts";
import readNotices from "./scripts/read_notices.lua" with { type: "text" };
import saveNotices from "./scripts/save_notices.lua" with { type: "text" };

/** Most bytes of a field. */
const MOST_BYTES = 1_048_576;
/** Longest name of a holder, in characters. */
const MAX_NAME = 200;

/** Fields of the notices. */
export interface ReadNotices {
  /** The server's clock. */
  readonly nowMs: number;
  /** Name of the instance that holds the lease; empty: none does. */
  readonly holder: string;
  /** A field that is missing is empty. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Reads and writes the notices. */
export class NoticeStore {
  readonly #lease: LeaseStore;
  readonly #token: string;
  readonly #read: Script;
  readonly #save: Script;

  constructor(redis: RedisClient, instance: Instance) {
    this.#token = instance.token;
    this.#lease = new LeaseStore(redis, noticesKey(), instance);
    this.#read = loadScript(redis, { name: "readNotices", keys: 1, lua: readNotices });
    this.#save = loadScript(redis, { name: "saveNotices", keys: 3, lua: saveNotices });
  }

  /** Takes or renews the lease. Returns whether this instance holds it. */
  async take(durationMs: number): Promise<boolean> {
    return (await this.#lease.take({ durationMs })).isOurs;
  }

  /** Releases the lease if this instance holds it. */
  release(): Promise<void> {
    return this.#lease.release();
  }

  /** Reads fields. Any client may have written them. */
  async read(fields: readonly string[]): Promise<ReadNotices> {
    const reply = await this.#read(noticesKey(), MOST_BYTES, ...fields);
    if (!Array.isArray(reply)) throw this.#refusal(reply);
    const [nowMs, holder, ...flat] = reply as [number, unknown, ...unknown[]];
    const found = new Map<string, string>();
    for (let i = 0; i + 1 < flat.length; i += 2) found.set(String(flat[i]), String(flat[i + 1]));
    return {
      ...{ nowMs, holder: toLine(String(holder), MAX_NAME) },
      fields: Object.fromEntries(fields.map((field) => [field, found.get(field) ?? ""])),
    };
  }

  /** From now on only this instance may save. False: another one holds the lease. */
  enter(): Promise<boolean> {
    return this.#write({}, [], { isEntering: true });
  }

  /**
   * Writes fields and appends entries (JSON) to the journal of incidents, in one step. False: another instance holds the lease, or has
   * entered since this one did; then nothing was written.
   */
  save(fields: Readonly<Record<string, string>>, entries: readonly string[]): Promise<boolean> {
    return this.#write(fields, entries, { isEntering: false });
  }

  async #write(
    fields: Readonly<Record<string, string>>,
    entries: readonly string[],
    { isEntering }: { isEntering: boolean },
  ): Promise<boolean> {
    const flat = Object.entries(fields).flat(), kept = ENTRIES_KEPT.incidents;
    const reply = String(
      await this.#save(
        ...[noticesKey(), journalKey("incidents"), journalHeadKey("incidents"), this.#token, isEntering ? 1 : 0, kept],
        ...[flat.length / 2, ...flat, ...entries],
      ),
    );
    if (reply === "ok" || reply === "not_ours") return reply === "ok";
    throw this.#refusal(reply);
  }

  #refusal(reply: unknown): Error {
    return String(reply) === "wrong_type"
      ? wrongTypeError(`${noticesKey()} is not a hash, or a journal has a wrong type: rename or delete it`)
      : unknownAnswer(reply);
  }
}
