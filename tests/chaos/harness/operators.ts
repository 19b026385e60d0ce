/** Operators who ask one of several instances over HTTP, at moments when it may die, and what they have put in. */
import { JobStore } from "../../../src/jobs/job_store.ts";
import { formatEnd, formatHeader, formatRaw } from "../../../src/message/export_format.ts";
import { messageId } from "../../../src/message/message_id.ts";
import { createId } from "../../../src/runtime/random.ts";
import { createAsk, TEST_KEYS } from "../../../testkit/api.ts";
import { DEAD, DLQ, eventText, policyOf } from "../../../testkit/engine.ts";
import { bytesOf } from "../../../testkit/payloads.ts";
import type { Service } from "../../../testkit/service.ts";
import { keysSetting } from "../../../testkit/served.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { SOURCE_NAMES, type World } from "./world.ts";

/** Settings of an instance that operators ask. */
export const API_ENVIRONMENT = { REMEDIATION_API_PORT: "0", REMEDIATION_API_KEYS: keysSetting().reveal() };

/** What operators do. */
export const DEEDS = ["redrive", "bury", "revive", "purge", "edit", "import", "undo"] as const;
/** One of {@link DEEDS}. */
export type Deed = (typeof DEEDS)[number];

const ROOT_PATH = "/api/v1", JOB_TIMEOUT_MS = 60_000;

/** What operators do to a whole source meanwhile. */
const DISTURBANCES: readonly (readonly [path: string, body: Record<string, unknown>])[] = [
  ["/pause", { reason: "chaos", forSeconds: 1 }],
  ["/resume", {}],
  [`${ROOT_PATH}/freeze`, { reason: "chaos", forSeconds: 1 }],
  [`${ROOT_PATH}/unfreeze`, {}],
  ["/release", { reason: "chaos" }],
  ["/replay", {}],
];

/** Most messages of a verb and of an import: an import's undo finds them by their ids. */
const MOST_PICKED = 200, MOST_IMPORTED = 300;
/** An undo of these brings back what a job took. */
const UNDOABLE: readonly string[] = ["purge", "bury", "edit", "import"];

interface Reply {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly json: any;
}

/** Operators of a world's source. The books of what they put in are those of Redis: a reply may be lost. */
export class Operators {
  readonly jobs: JobStore;
  readonly #world: World;
  readonly #instances: () => readonly Service[];
  /** Payloads that were offered for edits, by the SHA-1-based id. */
  readonly #payloads = new Map<string, { readonly bytes: Uint8Array; readonly list: "dlq" | "dead" }>();
  /** The messages of every file that was sent, and of each planned import by its job. */
  readonly #files: (readonly Uint8Array[])[] = [];
  readonly #imports = new Map<string, readonly Uint8Array[]>();
  readonly #undone = new Set<string>();
  readonly #path: string;
  #edits = 0;

  /** `instances`: those that can be asked now; one of them may die at any time. */
  constructor(world: World, instances: () => readonly Service[]) {
    this.#world = world;
    this.#instances = instances;
    this.jobs = new JobStore(world.admin, policyOf(world.redis), { createId });
    this.#path = `${ROOT_PATH}/sources/${SOURCE_NAMES[world.redis.push]}`;
  }

  /** Does something, however far it gets. */
  async act(deed: Deed): Promise<void> {
    switch (deed) {
      case "edit":
        return await this.#edit();
      case "import":
        return await this.#import();
      case "undo":
        return await this.#undo();
      default:
        return await this.#runVerb(deed);
    }
  }

  /** Pauses, resumes, freezes, unfreezes, releases or hurries the source. */
  async disturb(): Promise<void> {
    const [path, body] = this.#world.random.pick(DISTURBANCES);
    await this.#post(path, body);
  }

  /** Pauses and resumes, or cancels, the running job. */
  async meddle(): Promise<void> {
    const running = await this.jobs.running();
    if (running === null) return;
    if (this.#world.random.below(2) === 0) return void await this.#post(`/jobs/${running.id}/cancel`, {});
    await this.#post(`/jobs/${running.id}/pause`, {});
    await this.#post(`/jobs/${running.id}/resume`, {});
  }

  /** Waits until no job runs. A job that was left paused is resumed. */
  async whenOver(): Promise<void> {
    await waitUntil(async () => {
      const running = await this.jobs.running();
      if (running?.isPaused) await this.jobs.request(running.id, "resume");
      return running === null;
    }, { what: "the job ends", timeoutMs: JOB_TIMEOUT_MS });
  }

  /** Ends the pause of the source, by any instance that answers. */
  async resume(): Promise<void> {
    await waitUntil(async () => (await this.#post("/resume", {}))?.status === 200, { what: "the source is resumed" });
  }

  /** Tells the world what edits and imports have put in, by the jobs that Redis has. @returns what is wrong, and jobs by outcome */
  async close(): Promise<{ broken: string[]; tally: Record<string, number> }> {
    const tally: Record<string, number> = {}, broken: string[] = [];
    for (const { id, verb, status, plan, undoes, reason } of await this.jobs.list()) {
      const what = undoes ? `undo of ${undoes.verb}` : verb === "edit" && reason.startsWith("undo") ? "" : verb;
      if (what !== "") tally[`${what} ${status}`] = (tally[`${what} ${status}`] ?? 0) + 1;
      if (verb === "edit" && what !== "") {
        const put = this.#payloads.get(`m_${String((plan as { after: string }).after).slice(0, 16)}`);
        if (put) this.#world.enter([put.bytes], put.list === "dead" ? "any" : undefined);
        else broken.push(`edit ${id} put in what nobody asked for`);
      }
      if (verb === "import" && status !== "planned") this.#world.enter(this.#imports.get(id) ?? []);
      if (status === "failed") broken.push(`job ${id} (${what}) has failed`);
    }
    for (const key of await this.#world.jobLists({ staged: true })) {
      const staged = await this.#world.redis.readList(key);
      const isPart = this.#files.some((file) => staged.every((bytes, i) => file[i] && bytes.equals(file[i])));
      if (!isPart) broken.push(`${key} holds what no file begins with`);
    }
    return { broken, tally };
  }

  /** Plans and confirms a verb over some of what is there. */
  async #runVerb(verb: "redrive" | "bury" | "revive" | "purge"): Promise<void> {
    const { random } = this.#world;
    const list = verb === "revive" || (verb === "purge" && random.below(3) === 0) ? "dead" : "dlq";
    const every = 1 + random.below(9), found = await this.#world.redis.readList(list === "dead" ? DEAD : DLQ);
    const picked = found.filter((_, i) => i % every === 0).slice(-MOST_PICKED);
    if (picked.length === 0) return;
    // Others bury and revive by the operator's will, not by the model's.
    if (verb === "bury" || verb === "revive") this.#world.excuse(picked);
    const ids = [...new Set(picked.map(messageId))];
    await this.#confirm(
      await this.#post(`/${verb}`, { ids, reason: "chaos", ...(verb === "purge" ? { list } : {}) }),
    );
  }

  async #edit(): Promise<void> {
    const { random } = this.#world, list = random.below(2) === 0 ? "dlq" : "dead";
    const found = await this.#world.redis.readList(list === "dead" ? DEAD : DLQ);
    if (found.length === 0) return;
    const near = 1 + random.below(found.length), payload = eventText(`edit ${++this.#edits}`, ', "note": "mended"');
    this.#payloads.set(messageId(bytesOf(payload)), { bytes: bytesOf(payload), list });
    const replay = list === "dlq" && random.below(3) === 0, id = messageId(found[near - 1]!);
    const reply = await this.#post(`/dlq/${id}/edit`, { list, payload, replay, reason: "chaos" });
    if (reply?.json?.replayJob) await this.#confirm({ ...reply, json: { job: { id: reply.json.replayJob } } });
  }

  async #import(): Promise<void> {
    const { random } = this.#world, messages = this.#world.payloads(1 + random.below(MOST_IMPORTED));
    this.#files.push(messages);
    const header = {
      source: SOURCE_NAMES[this.#world.redis.push],
      list: "dlq",
      query: "",
      masked: false,
      depth: messages.length,
      at: "chaos",
    };
    const lines = [
      formatHeader(header),
      ...messages.map((bytes, i) => formatRaw({ id: messageId(bytes), place: i + 1, bytes })),
      formatEnd({ messages: messages.length, skipped: 0 }),
    ];
    // Without it, automatic replay takes the messages before an undo finds them.
    if (random.below(2) === 0) await this.#post("/pause", { reason: "chaos", forSeconds: 3 });
    const headers = { "content-type": "application/x-ndjson" };
    const reply = await this.#post("/import?reason=chaos", `${lines.join("\n")}\n`, headers);
    if (reply?.status === 201) this.#imports.set(reply.json.job.id, messages);
    await this.#confirm(reply);
  }

  /** Undoes an ended job that has not been undone. */
  async #undo(): Promise<void> {
    const ended = (await this.jobs.list()).filter(({ id, verb, result }) =>
      UNDOABLE.includes(verb) && result !== null && !this.#undone.has(id)
    );
    const job = ended[this.#world.random.below(Math.min(3, ended.length || 1))];
    if (!job) return;
    this.#undone.add(job.id);
    await this.#confirm(await this.#post(`/jobs/${job.id}/undo`, { reason: "chaos" }));
  }

  async #confirm(planned: Reply | null): Promise<void> {
    if (planned === null || planned.status >= 300) return;
    await this.#post(`/jobs/${planned.json.job.id}/confirm`, { allowChange: 1_000_000 });
  }

  /**
   * Asks an instance; if it dies meanwhile, another one with the same key, as a client does. `null`: no answer came, or the first
   * request may still run. @throws for an answer that means a bug
   */
  async #post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply | null> {
    const isRepeatable = typeof body !== "string", key = createId();
    for (let attempt = 0; attempt < (isRepeatable ? 2 : 1); attempt++) {
      const reply = await this.#postOnce(path, body, {
        ...headers,
        ...(isRepeatable ? { "idempotency-key": key } : {}),
      });
      if (reply === null) continue;
      if (reply.status < 400 || [404, 409, 412, 503].includes(reply.status)) return reply;
      throw new Error(`${path}: ${reply.status} ${JSON.stringify(reply.json)}`);
    }
    return null;
  }

  async #postOnce(path: string, body: unknown, headers: Record<string, string>): Promise<Reply | null> {
    const all = this.#instances(), listening = all.filter((service) => service.events("listening").length > 0);
    const service = this.#world.random.pick(listening.length > 0 ? listening : all);
    try {
      await service.ports();
      const url = `http://127.0.0.1:${service.events("listening")[0]!.api_port}`;
      const whole = path.startsWith(ROOT_PATH) ? path : this.#path + path;
      return await createAsk(url).ask("POST", whole, { key: TEST_KEYS.admin, headers, body });
    } catch {
      return null; // it has been killed
    }
  }
}
