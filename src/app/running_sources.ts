/** The sources that run, and how one set of them takes the place of another while the rest goes on. */
import type { MeasuredSource } from "../observability/metrics.ts";
import type { ReplayLoop } from "../replay/loop.ts";
import { measuredQueues } from "../replay/depth_watch.ts";
import type { SourcePipeline } from "./source_pipeline.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";

/** A source and the loop that drives it. */
export interface RunningSource {
  readonly parts: SourcePipeline;
  readonly loop: ReplayLoop;
}

/** What a change of the sources came to: names of sources. */
export interface SourceChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Stopped, and built anew from another setup. */
  readonly changed: readonly string[];
}

/** What a {@link RunningSources} needs. */
export interface RunningSourcesDeps {
  /** Builds a source; nothing runs until its loop and watch are started. */
  build(setup: SourceDefinition): RunningSource;
  readonly metrics: {
    addSource(source: MeasuredSource): void;
    removeSource(source: MeasuredSource, options: { keepCounters: boolean }): void;
  };
}

/** Runs sources. One change at a time: a second waits for the first. */
export class RunningSources {
  readonly #deps: RunningSourcesDeps;
  #sources: ReadonlyMap<string, RunningSource>;
  #isDriven = false;
  #isStopped = false;
  #work: Promise<unknown> = Promise.resolve();

  /** @param first the sources to begin with; their metrics are there already */
  constructor(first: readonly SourceDefinition[], deps: RunningSourcesDeps) {
    this.#deps = deps;
    this.#sources = new Map(first.map((setup) => [setup.policy.name, deps.build(setup)]));
  }

  /** Every source, in the order in which they were named. */
  list(): readonly RunningSource[] {
    return [...this.#sources.values()];
  }

  /** Starts these sources (default: every one), and from now on each new one. Safe to call twice. */
  drive(sources: readonly RunningSource[] = this.list()): void {
    if (this.#isStopped) return;
    this.#isDriven = true;
    // One that has been replaced meanwhile is stopped.
    this.list().filter((source) => sources.includes(source)).forEach(start);
  }

  /** How these setups differ from what runs. Does nothing. */
  compare(setups: readonly SourceDefinition[]): SourceChange {
    const names = new Set(setups.map(({ policy }) => policy.name));
    const differing = setups.filter((setup) => !isSame(setup, this.#sources.get(setup.policy.name)));
    const [changed, added] = [true, false].map((runs) =>
      differing.map(({ policy }) => policy.name).filter((name) => this.#sources.has(name) === runs)
    );
    return { added: added!, changed: changed!, removed: [...this.#sources.keys()].filter((name) => !names.has(name)) };
  }

  /**
   * Makes these the sources that run. What is gone or different finishes the chunk in hand first, so that no two ever drain one
   * queue by different rules (tests/unit/app/running_sources_test.ts); what is the same is not touched. Does nothing once stopped.
   */
  apply(setups: readonly SourceDefinition[]): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#isStopped) return;
      const { removed, changed } = this.compare(setups);
      await Promise.all([...removed, ...changed].map((name) => stop(this.#sources.get(name)!)));
      // A shutdown that began meanwhile stops the others; these are stopped already.
      if (this.#isStopped) return;
      this.#forget({ removed, changed });
      this.#sources = new Map(setups.map((setup) => [setup.policy.name, this.#keepOrBuild(setup, { changed })]));
    });
  }

  /** Stops every source: each finishes the chunk in hand. Safe to call twice. */
  stop(): Promise<void> {
    this.#isStopped = true;
    const stopping = this.list().map(stop);
    return this.#enqueue(async () => void await Promise.all([...stopping, ...this.list().map(stop)]));
  }

  #keepOrBuild(setup: SourceDefinition, { changed }: { changed: readonly string[] }): RunningSource {
    const { name } = setup.policy;
    const running = this.#sources.get(name);
    if (running && !changed.includes(name)) return running;
    this.#deps.metrics.addSource(describeForMetrics(setup));
    const built = this.#deps.build(setup);
    if (this.#isDriven) start(built);
    return built;
  }

  /** All are forgotten before any is added: a list may go from one source to another. */
  #forget({ removed, changed }: Pick<SourceChange, "removed" | "changed">): void {
    for (const name of [...removed, ...changed]) {
      const { parts } = this.#sources.get(name)!;
      this.#deps.metrics.removeSource(describeForMetrics(parts.setup), { keepCounters: changed.includes(name) });
    }
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }
}

/** What the metrics are to know of a source. */
export function describeForMetrics({ policy, gates, downstreamQueues }: SourceDefinition): MeasuredSource {
  return { name: policy.name, gates, queues: measuredQueues(policy, downstreamQueues) };
}

/** Setups are plain data, made in one place, so their texts tell. */
function isSame(setup: SourceDefinition, running: RunningSource | undefined): boolean {
  return running !== undefined && JSON.stringify(setup) === JSON.stringify(running.parts.setup);
}

function start({ parts, loop }: RunningSource): void {
  parts.leadership.start();
  loop.start();
  for (const watch of parts.watches) watch.start();
}

async function stop({ parts, loop }: RunningSource): Promise<void> {
  await Promise.all([loop.stop(), ...parts.watches.map((watch) => watch.stop())]);
  await parts.stop();
}
