/** The service's engine in this process, several of them at a world; what they say that they have moved is exact. */
import { createEngine, type Engine, type EngineOptions } from "../../support/engine.ts";
import { waitUntil } from "../../support/wait.ts";
import { CHUNK_MESSAGES } from "./instances.ts";
import type { LeaseMode } from "./scenario.ts";
import type { World } from "./world.ts";

/** Settings of an engine: cycles follow one another at once, commits are small, nothing holds back what fails. */
const SETTINGS = { intervalSeconds: 0.02, chunkMessages: CHUNK_MESSAGES, brakeEnabled: false };
const SETTLE_TIMEOUT_MS = 10_000;

/** Engines that were started together. Use it with `await using`. */
export class Engines implements AsyncDisposable {
  readonly all: readonly Engine[];
  #commits = 0;

  private constructor(all: readonly Engine[]) {
    this.all = all;
    for (const engine of all) engine.beforeCommit(() => void this.#commits++);
  }

  /** Starts so many. `options` are by number, from 0. */
  static async start(
    world: World,
    { count, options = () => ({}) }: { count: number; lease: LeaseMode; options?: (i: number) => EngineOptions },
  ): Promise<Engines> {
    const all = Array.from({ length: count }, (_, i) => {
      const { settings, ...rest } = options(i);
      return createEngine(world.redis, { ...rest, settings: { ...SETTINGS, ...settings } });
    });
    const engines = new Engines(all);
    for (const engine of all) await engine.start();
    return engines;
  }

  /** Waits until one of them is about to commit, or for `timeoutMs` where none has anything to do. */
  async untilCommit(timeoutMs = 500): Promise<void> {
    const before = this.#commits;
    await waitUntil(() => this.#commits > before, { what: "", timeoutMs }).catch(() => {});
  }

  /** How many messages they say that they have moved. */
  async countMoved(): Promise<number> {
    const moved = await Promise.all(this.all.map((engine) => engine.moved()));
    return moved.reduce(
      (sum, { replayed, dead }) => sum + replayed + Object.values(dead).reduce((a, b) => a + b, 0),
      0,
    );
  }

  /** Commits whose reply was lost and that were looked into since. */
  countSettled(): number {
    return this.all.reduce((sum, { lines }) => sum + lines.filter(({ event }) => event === "commit_settled").length, 0);
  }

  /**
   * Waits until it is known what became of every commit, then says by how many messages they are off from what was moved;
   * `hidden`: as many may be missing.
   */
  async miscounted(world: World, { hidden = 0, byOthers = 0 } = {}): Promise<number> {
    const difference = async () => await world.countMoved() - byOthers - await this.countMoved();
    const isSettled = async () =>
      this.all.every(({ source }) => !source.replay.hasUnsettled()) && await difference() === 0;
    await waitUntil(isSettled, { what: "", timeoutMs: hidden > 0 ? 1_000 : SETTLE_TIMEOUT_MS }).catch(() => {});
    const missing = await difference();
    return Math.max(0, -missing, missing - hidden);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const engine of this.all) await engine[Symbol.asyncDispose]();
  }
}
