/**
 * Keeps the drill of one source in Redis. Any instance may start and cancel it; only the leader advances it. Every call is one script or one
 * read, and safe to repeat: after a lost reply, the caller reads the drill again.
 */
import { Buffer } from "node:buffer";
import type { DrillTarget } from "../cycle/running_drill.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import { throwStoreError, unknownAnswer, wrongTypeError } from "./errors.ts";
import { drillKey, drillListKey, drillsKey, stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import advanceDrill from "./scripts/advance_drill.lua" with { type: "text" };
import finishDrill from "./scripts/finish_drill.lua" with { type: "text" };
import forgetDrill from "./scripts/forget_drill.lua" with { type: "text" };
import seedDrill from "./scripts/seed_drill.lua" with { type: "text" };
import startDrill from "./scripts/start_drill.lua" with { type: "text" };

/** Time until the list of drills and what is left of a drill expire, even if no instance runs, in milliseconds: more than any drill takes. */
const LIST_EXPIRES_MS = 2 * 86_400_000;
/** Time until a report expires, in milliseconds, and the most that are kept of a source. */
export const REPORT_EXPIRES_MS = 7 * 86_400_000, MAX_REPORTS = 10;
/** Time until leftovers of an ended drill expire, in milliseconds. */
const LEFTOVERS_EXPIRE_MS = 3_600_000;
/** Messages of one read. A synthetic message has some 300 bytes. */
const READ_MESSAGES = 200;
/** First element of the list: it exists, and expires, before a message is in it. */
const FIRST = "messages of a drill";

/** Results of a change of a drill. All except `ok` changed nothing. `gone`: it has ended. `stale`: it is in another phase. */
export const DRILL_RESULTS = ["ok", "gone", "not_leader", "stale"] as const;
/** One of {@link DRILL_RESULTS}. */
export type DrillResult = (typeof DRILL_RESULTS)[number];

/** A drill to start. */
export interface NewDrill {
  readonly id: string;
  readonly target: DrillTarget;
  /** Name of the gate to hold, and for how long, in milliseconds. */
  readonly gate: string;
  readonly holdMs: number;
  /** Longest time after that until its messages have arrived, in milliseconds. */
  readonly healMs: number;
  /** More fields of its hash. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The drill of one source. Calls reject with a `StoreError`. */
export class DrillStore {
  readonly #redis: RedisClient;
  readonly #keys: { readonly state: string; readonly drill: string; readonly list: string; readonly reports: string };
  readonly #dlq: string;
  readonly #token: string;
  readonly #start: Script;
  readonly #seed: Script;
  readonly #advance: Script;
  readonly #finish: Script;
  readonly #forget: Script;

  /** `token`: changes that only the leader makes are refused while another instance holds the lease; empty: no lease. */
  constructor(redis: RedisClient, { dlq, push }: Pick<SourcePolicy, "dlq" | "push">, { token }: { token: string }) {
    this.#redis = redis;
    this.#dlq = dlq;
    this.#token = token;
    this.#keys = { state: stateKey(dlq), drill: drillKey(dlq), list: drillListKey(dlq), reports: drillsKey(dlq) };
    this.#start = loadScript(redis, { name: "startDrill", keys: 3, lua: startDrill });
    this.#seed = loadScript(redis, { name: "seedDrill", keys: 3, lua: seedDrill, push });
    this.#advance = loadScript(redis, { name: "advanceDrill", keys: 2, lua: advanceDrill });
    this.#finish = loadScript(redis, { name: "finishDrill", keys: 4, lua: finishDrill });
    this.#forget = loadScript(redis, { name: "forgetDrill", keys: 2, lua: forgetDrill });
  }

  /** Starts a drill. `busy`: another one runs, or is being cleaned up; `job`: a job runs. */
  async start({ id, target, gate, holdMs, healMs, fields }: NewDrill): Promise<"ok" | "busy" | "job"> {
    const { state, drill, list } = this.#keys, expires = [LIST_EXPIRES_MS, FIRST, REPORT_EXPIRES_MS];
    const details = [id, target, gate, holdMs, healMs, ...expires, ...Object.entries(fields).flat()];
    const reply = await this.#start(state, drill, list, ...details);
    return Array.isArray(reply) ? "ok" : this.#answer(reply, ["busy", "job"] as const);
  }

  /** Reads the drill that runs or is being cleaned up, as fields; `null`: there is none. */
  async read(): Promise<Readonly<Record<string, string>> | null> {
    const values = await this.#redis.hmget(this.#keys.drill, ...DRILL_HASH_FIELDS).catch(throwStoreError);
    if (values[0] === null) return null;
    return Object.fromEntries(DRILL_HASH_FIELDS.map((name, i) => [name, values[i] ?? ""]));
  }

  /** Pushes messages to the DLQ, oldest first. `offset`: how many came before. */
  async seed({ id, offset, messages }: { id: string; offset: number; messages: readonly Buffer[] }) {
    const { state, drill } = this.#keys;
    return this.#answer(
      await this.#seed(state, drill, this.#dlq, id, this.#token, offset, ...messages),
      DRILL_RESULTS,
    );
  }

  /** Notes something about the drill, and moves it to its next phase. `byAnyone`: whether this instance leads does not matter. */
  async advance({ id, from, to = "", fields, byAnyone = false }: {
    readonly id: string;
    readonly from: readonly string[];
    readonly to?: string;
    readonly fields: Readonly<Record<string, string | number>>;
    readonly byAnyone?: boolean;
  }): Promise<DrillResult> {
    const { state, drill } = this.#keys, token = byAnyone ? "" : this.#token;
    const reply = await this.#advance(state, drill, id, token, from.join(","), to, ...Object.entries(fields).flat());
    return this.#answer(reply, DRILL_RESULTS);
  }

  /** Ends the drill, frees its list, and keeps its report. */
  async finish({ id, report }: { id: string; report: string }): Promise<DrillResult> {
    const { state, drill, list, reports } = this.#keys;
    const reply = await this.#finish(
      ...[state, drill, list, reports],
      ...[id, this.#token, report, MAX_REPORTS, REPORT_EXPIRES_MS],
    );
    return this.#answer(reply, DRILL_RESULTS);
  }

  /**
   * Ends a drill whose hash is lost, so that its source is not held by it. Its messages are leftovers from then on.
   * @returns its id, as the state has it; empty: none is lost
   */
  async forgetLost(): Promise<{ readonly result: DrillResult; readonly id: string }> {
    const reply = await this.#forget(this.#keys.state, this.#keys.drill, this.#token);
    const [result, id] = Array.isArray(reply) ? reply : [reply, ""];
    return { result: this.#answer(result, DRILL_RESULTS), id: String(id) };
  }

  /** Returns how many messages the list of drills holds. */
  async countKept(): Promise<number> {
    const length = await this.#redis.llen(this.#keys.list).catch(throwStoreError);
    return Math.max(0, length - 1);
  }

  /** Reads the list of drills, the oldest first, in bounded blocks. */
  async *readKept(): AsyncGenerator<readonly Buffer[]> {
    for (let from = 1;; from += READ_MESSAGES) {
      const block = await this.#redis.lrangeBuffer(this.#keys.list, -(from + READ_MESSAGES - 1), -from)
        .catch(throwStoreError);
      if (block.length === 0) return;
      yield block.toReversed();
      if (block.length < READ_MESSAGES) return;
    }
  }

  /** Reads the reports of the last drills, the newest first. */
  async reports(): Promise<readonly string[]> {
    return await this.#redis.lrange(this.#keys.reports, 0, MAX_REPORTS - 1).catch(throwStoreError);
  }

  /** Lets what is in the list of drills expire in an hour. Call it while no drill runs: the list may have been made anew by leftovers. */
  async expireLeftovers(): Promise<void> {
    await this.#redis.pexpire(this.#keys.list, LEFTOVERS_EXPIRE_MS).catch(throwStoreError);
  }

  #answer<Answer extends string>(reply: unknown, answers: readonly Answer[]): Answer {
    const text = String(reply), answer = answers.find((one) => one === text);
    if (text === "wrong_type") throw wrongTypeError("a key of the source's drill has the wrong type");
    if (answer === undefined) throw unknownAnswer(reply);
    return answer;
  }
}

/** The fields of a drill's hash. */
export const DRILL_HASH_FIELDS = [
  ...[
    "id",
    "phase",
    "target",
    "gate",
    "startedAtMs",
    "heldUntilMs",
    "healUntilMs",
    "seeded",
    "messages",
    "by",
    "reason",
  ],
  ...["noticedAtMs", "outcome", "decidedAtMs", "moves", "noticesBefore"],
] as const;
