/**
 * Keeps a source's jobs in Redis. Any instance may plan, start, pause, resume and cancel a job; only the leader runs it
 * (`runner.ts`).
 *
 * - A plan expires an hour after it was made. What is left of an ended job expires after a week.
 * - At most one job of a source runs or is paused. `start` and the requests are scripts that check this.
 * - At most {@link MAX_JOBS} jobs of a source are kept.
 */
import { JOB_FIELDS, type JobList, parseRunningJob, type RunningJob } from "../cycle/running_job.ts";
import { MAX_SELECTED_IDS, type Watermark } from "../message/selection.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "../redis/cluster.ts";
import { throwStoreError, unknownAnswer } from "../redis/errors.ts";
import { claimKey, jobKey, jobListKey, jobsKey, shelfKey, stateKey, trashKey } from "../redis/keys.ts";
import { createNewestReader } from "../redis/newest_reader.ts";
import { sha1 } from "../redis/sample.ts";
import { loadScript, type Script } from "../redis/scripts.ts";
import askJob from "../redis/scripts/ask_job.lua" with { type: "text" };
import planJob from "../redis/scripts/plan_job.lua" with { type: "text" };
import startJob from "../redis/scripts/start_job.lua" with { type: "text" };
import { type Job, JOB_HASH_FIELDS, type JobStatus, parseJob, plannedFields, type PlannedJob } from "./job.ts";

/** Time until a plan expires, and until the rest of an ended job does, in milliseconds. */
export const PLAN_EXPIRES_MS = 3_600_000, JOB_EXPIRES_MS = 7 * 24 * 3_600_000;
/** Time until trash expires, in milliseconds: a day longer than its job, which names it. */
export const TRASH_EXPIRES_MS = JOB_EXPIRES_MS + 24 * 3_600_000;
/** A claim on a list ends with its job. If the job vanishes, the claim expires after this time, in milliseconds. */
const CLAIM_EXPIRES_MS = 30 * 24 * 3_600_000;
/** Most jobs of a source that are kept. */
export const MAX_JOBS = 100;
/** The states of jobs that may be removed. */
const REMOVABLE: readonly JobStatus[] = ["planned", "done", "cancelled", "failed"];

/**
 * The results of starting a job. All except `ok` changed nothing; `busy`: another job runs; `drill`: a drill runs; `missing`: the plan, or what it has
 * staged, has expired; `started`: it is no longer planned; `turned`: the source's lists were pushed at the other side when it was planned;
 * `wrong_type`: a key has the wrong type.
 */
export const START_RESULTS = ["ok", "busy", "drill", "missing", "started", "turned", "wrong_type"] as const;
/** One of {@link START_RESULTS}. */
export type StartResult = (typeof START_RESULTS)[number];

/** A request to the running job. */
export type JobWish = "pause" | "resume" | "cancel";

/** The jobs of one source. Calls reject with a `StoreError`. */
export class JobStore {
  readonly #redis: RedisClient;
  readonly #policy: SourcePolicy;
  readonly #plan: Script;
  readonly #start: Script;
  readonly #ask: Script;
  readonly #createId: () => string;

  constructor(redis: RedisClient, policy: SourcePolicy, { createId }: { createId: () => string }) {
    this.#redis = redis;
    this.#policy = policy;
    this.#createId = createId;
    this.#plan = loadScript(redis, { name: "planJob", keys: 2, lua: planJob });
    this.#start = loadScript(redis, { name: "startJob", keys: 5, lua: startJob, push: policy.push });
    this.#ask = loadScript(redis, { name: "askJob", keys: 2, lua: askJob });
  }

  /** Reads where a list ends now. `maxMessageBytes`: a larger newest message is only counted. */
  async readWatermark(list: JobList, { maxMessageBytes }: { maxMessageBytes: number }): Promise<Watermark> {
    const bounds = { messages: 1, bytes: 1, messageBytes: maxMessageBytes };
    // The DLQ goes on in its shelf while another job sweeps it.
    const lists = list === "dlq" ? [this.#policy.dlq, shelfKey(this.#policy.dlq)] : [this.#policy.dead];
    const { depth, messages: [newest] } = await createNewestReader(this.#redis, { lists, push: this.#policy.push })(
      bounds,
    );
    return { depth, newestBytes: newest?.length ?? 0, newestDigest: newest ? sha1([newest]) : "" };
  }

  /**
   * Stores a plan. `id`: that of the messages that were staged for it; default: a new one. @returns its id
   * @throws RangeError if the selection names too many ids
   */
  async plan(job: PlannedJob, id: string = this.#createId()): Promise<string> {
    const ids = job.selection.ids?.length ?? 0;
    if (ids > MAX_SELECTED_IDS) throw new RangeError(`Cannot plan a job of ${ids} ids: at most ${MAX_SELECTED_IDS}`);
    const { dlq, push } = this.#policy;
    const fields = Object.entries({ ...plannedFields(job), push }).flat();
    await this.#plan(jobKey(dlq, id), jobsKey(dlq), id, PLAN_EXPIRES_MS, ...fields);
    await this.prune();
    return id;
  }

  /** Returns a job; `null` if it does not exist, or has expired. */
  async get(id: string): Promise<Job | null> {
    const values = await this.#redis.hmget(jobKey(this.#policy.dlq, id), ...JOB_HASH_FIELDS).catch(throwStoreError);
    return parseJob(id, Object.fromEntries(JOB_HASH_FIELDS.map((name, i) => [name, values[i] ?? undefined])));
  }

  /** Returns how many messages of a purge can be brought back. */
  async countTrash(id: string): Promise<number> {
    return await this.#redis.llen(trashKey(this.#policy.dlq, id)).catch(throwStoreError);
  }

  /** Returns the job that runs or is paused, as the source's state has it; `null`: none. */
  async running(): Promise<RunningJob | null> {
    const values = await this.#redis.hmget(stateKey(this.#policy.dlq), ...JOB_FIELDS).catch(throwStoreError);
    const fields = new Map(JOB_FIELDS.map((name, i) => [name, values[i] ?? ""]));
    const text = (name: string) => fields.get(name) ?? "";
    return parseRunningJob(text, (name) => /^\d{1,15}$/.test(text(name)) ? Number(text(name)) : 0);
  }

  /** Returns the jobs that are kept, the newest first. */
  async list(): Promise<readonly Job[]> {
    const key = jobsKey(this.#policy.dlq);
    const ids = await this.#redis.zrange(key, -MAX_JOBS, "-1").catch(throwStoreError);
    const jobs = await Promise.all(ids.toReversed().map((id) => this.get(id)));
    return jobs.filter((job) => job !== null);
  }

  /** Starts a planned job. `by`: name of the operator who confirms it. Safe to call twice. */
  async start(id: string, { by }: { by: string }): Promise<StartResult> {
    const { dlq } = this.#policy, job = await this.get(id);
    if (job === null) return "missing";
    // What it would take was counted from the other end.
    if (job.status === "planned" && job.push !== this.#policy.push) return "turned";
    const list = this.#keyOf(job.selection.list);
    const keys = [stateKey(dlq), jobKey(dlq, id), list, claimKey(list), jobListKey(dlq, id)];
    const reply = await this.#start(...keys, id, by, CLAIM_EXPIRES_MS);
    return answer(reply, START_RESULTS);
  }

  /** Forgets a plan that was not started. Safe to call twice. */
  async forget(id: string): Promise<void> {
    const { dlq } = this.#policy, status = await this.#redis.hget(jobKey(dlq, id), "status").catch(throwStoreError);
    if (status === "planned") await this.#drop([id]);
  }

  /** Pauses, resumes or cancels the running job. @returns false if it is not running, or its cancellation has begun */
  async request(id: string, wish: JobWish): Promise<boolean> {
    const { dlq } = this.#policy;
    return answer(await this.#ask(stateKey(dlq), jobKey(dlq, id), id, wish), ["ok", "not_running"]) === "ok";
  }

  #keyOf(list: JobList): string {
    return list === "dead" ? this.#policy.dead : this.#policy.dlq;
  }

  /**
   * Removes the oldest jobs beyond the bound that do not run, and the ids of expired ones. A job of another version of this program,
   * whose state is not known here, stays. Safe to call at any time.
   */
  async prune(): Promise<void> {
    const { dlq } = this.#policy, redis = this.#redis;
    const ids = await redis.zrange(jobsKey(dlq), 0, "-1").catch(throwStoreError);
    const states = await Promise.all(ids.map((id) => redis.hget(jobKey(dlq, id), "status"))).catch(throwStoreError);
    const surplus = Math.max(0, ids.length - MAX_JOBS);
    await this.#drop(ids.filter((_, i) => {
      const status = states[i] ?? null;
      return status === null || (i < surplus && REMOVABLE.some((one) => one === status));
    }));
  }

  async #drop(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const { dlq } = this.#policy, redis = this.#redis;
    await Promise.all([
      redis.zrem(jobsKey(dlq), ...ids),
      ...ids.map((id) => redis.pexpire(jobKey(dlq, id), 0)),
    ]).catch(throwStoreError);
  }
}

function answer<Answer extends string>(reply: unknown, answers: readonly Answer[]): Answer {
  const known = answers.find((one) => one === String(reply));
  if (known === undefined) throw unknownAnswer(reply);
  return known;
}
