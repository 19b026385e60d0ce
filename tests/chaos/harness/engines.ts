/** The service's engine in this process, several of them at a world; what they say that they have moved is exact. */
import { createEngine, type Engine, type EngineOptions } from "../../../testkit/engine.ts";
import { waitUntil } from "../../../testkit/wait.ts";
import { CHUNK_MESSAGES } from "./instances.ts";
import { pause } from "./pause.ts";
import type { LeaseMode } from "./scenario.ts";
import type { World } from "./world.ts";

/** Settings of an engine: cycles follow one another at once, commits are small, nothing holds back what fails. */
const SETTINGS = { intervalMs: 20, chunkMessages: CHUNK_MESSAGES, brakeEnabled: false };
const SETTLE_TIMEOUT_MS = 10_000;

/** With the wrong lease they all carry this, so that each of them believes that it leads. */
const SAME_TOKEN = "the same token";

/** How engines are started. */
export interface EnginesOptions {
  readonly count: number;
  readonly lease: LeaseMode;
  /** By number, from 0. */
  readonly options?: (i: number) => EngineOptions;
}

/** Engines that were started together. Use it with `await using`. */
export class Engines implements AsyncDisposable {
  readonly #world: World;
  readonly #options: EnginesOptions;
  /** All there ever were; the last `count` of them run. */
  readonly #all: Engine[] = [];
  #commits = 0;
  #beforeNext: (() => Promise<void> | void) | null = null;

  private constructor(world: World, options: EnginesOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Starts so many. */
  static async start(world: World, options: EnginesOptions): Promise<Engines> {
    const engines = new Engines(world, options);
    await engines.#startAll();
    return engines;
  }

  /** Stops those that run and starts as many anew, after a time in which others may begin to lead. */
  async restart({ afterMs }: { afterMs: number }): Promise<void> {
    await this[Symbol.asyncDispose]();
    await pause(afterMs);
    await this.#startAll();
  }

  /** Waits until one of them is about to commit, or for `timeoutMs` where none has anything to do. */
  async untilCommit(timeoutMs = 500): Promise<void> {
    const before = this.#commits;
    await waitUntil(() => this.#commits > before, { what: "", timeoutMs }).catch(() => {});
  }

  /**
   * Does something between the next commit and the read before it. What is `brief` is over before the commit is sent; what is
   * not goes on meanwhile. Resolves when it is over; where none of them has anything to do, it is done all the same.
   */
  async beforeNextCommit(act: () => Promise<unknown>, { brief }: { brief: boolean }): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#beforeNext = () => {
      const acting = act().then(() => {});
      acting.then(done.resolve, done.reject);
      return brief ? acting : undefined;
    };
    await this.untilCommit();
    const unused = this.#beforeNext;
    this.#beforeNext = null;
    await unused?.();
    await done.promise;
  }

  /** How many messages they say that they have moved. */
  async countMoved(): Promise<number> {
    const moved = await Promise.all(this.#all.map((engine) => engine.moved()));
    return moved.reduce(
      (sum, { replayed, dead }) => sum + replayed + Object.values(dead).reduce((a, b) => a + b, 0),
      0,
    );
  }

  /** Commits whose reply was lost and that were looked into since. */
  countSettled(): number {
    return this.#all.reduce(
      (sum, { lines }) => sum + lines.filter(({ event }) => event === "commit_settled").length,
      0,
    );
  }

  /**
   * Waits until it is known what became of every commit, then says by how many messages they are off from what was moved;
   * `hidden`: as many may be missing.
   */
  async miscounted({ hidden = 0, byOthers = 0 } = {}): Promise<number> {
    const difference = async () => await this.#world.countMoved() - byOthers - await this.countMoved();
    const isSettled = async () =>
      this.#all.every(({ source }) => !source.replay.hasUnsettled()) && await difference() === 0;
    await waitUntil(isSettled, { what: "", timeoutMs: hidden > 0 ? 1_000 : SETTLE_TIMEOUT_MS }).catch(() => {});
    const missing = await difference();
    return Math.max(0, -missing, missing - hidden);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.#all.slice(-this.#options.count)) await engine[Symbol.asyncDispose]();
  }

  async #startAll(): Promise<void> {
    for (let i = 0; i < this.#options.count; i++) this.#all.push(this.#create(i));
    for (const engine of this.#all.slice(-this.#options.count)) await engine.start();
  }

  #create(i: number): Engine {
    const { lease, options } = this.#options, { settings, ...rest }: EngineOptions = options?.(i) ?? {};
    const election = { leaderElection: lease !== "off", leaseMs: 1_000 };
    const engine = createEngine(this.#world.redis, {
      ...(lease === "wrong" ? { token: SAME_TOKEN } : {}),
      ...rest,
      settings: { ...SETTINGS, ...election, ...settings },
    });
    engine.beforeCommit(() => {
      this.#commits++;
      const act = this.#beforeNext;
      this.#beforeNext = null;
      return act?.();
    });
    return engine;
  }
}
