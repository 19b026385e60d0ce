/** The running sources. A change of the sources file replaces changed ones while the others keep running. */
import type { MeasuredSource } from "../observability/metrics.ts";
import type { ReplayLoop } from "../replay/loop.ts";
import { measuredQueues } from "../replay/depth_watch.ts";
import type { SourcePipeline } from "./source_pipeline.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";

/** A source and its replay loop. */
export interface RunningSource {
  readonly parts: SourcePipeline;
  readonly loop: ReplayLoop;
}

/** Names of the sources that a change affects. */
export interface SourceChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Stopped and recreated from a new definition. */
  readonly changed: readonly string[];
  /** They go on with other windows. */
  readonly windows: readonly string[];
}

/** Dependencies of {@link RunningSources}. */
export interface RunningSourcesDeps {
  /** Creates a source. Nothing runs until its loop and watches are started. */
  build(setup: SourceDefinition): RunningSource;
  readonly metrics: {
    addSource(source: MeasuredSource): void;
    removeSource(source: MeasuredSource, options: { keepCounters: boolean }): void;
  };
}

/** Runs sources. Applies one change at a time; a second change waits for the first. */
export class RunningSources {
  readonly #deps: RunningSourcesDeps;
  #sources: ReadonlyMap<string, RunningSource>;
  #isDriven = false;
  #isStopped = false;
  #work: Promise<unknown> = Promise.resolve();

  /** @param first the initial sources; their metrics already exist */
  constructor(first: readonly SourceDefinition[], deps: RunningSourcesDeps) {
    this.#deps = deps;
    this.#sources = new Map(first.map((setup) => [setup.policy.name, deps.build(setup)]));
  }

  /** Every source, in the order of its definitions. */
  list(): readonly RunningSource[] {
    return [...this.#sources.values()];
  }

  /** Starts these sources (default: all) and every source added later. Safe to call twice. */
  drive(sources: readonly RunningSource[] = this.list()): void {
    if (this.#isStopped) return;
    this.#isDriven = true;
    // A source that has been replaced meanwhile is stopped already.
    this.list().filter((source) => sources.includes(source)).forEach(start);
  }

  /** Compares definitions with the running sources. Changes nothing. */
  compare(setups: readonly SourceDefinition[]): SourceChange {
    const names = new Set(setups.map(({ policy }) => policy.name));
    const differing = setups.filter((setup) => !isSame(setup, this.#sources.get(setup.policy.name)));
    const windows = setups.filter((setup) => hasOtherWindows(setup, this.#sources.get(setup.policy.name)));
    const [changed, added] = [true, false].map((runs) =>
      differing.map(({ policy }) => policy.name).filter((name) => this.#sources.has(name) === runs)
    );
    return {
      ...{ added: added!, changed: changed!, removed: [...this.#sources.keys()].filter((name) => !names.has(name)) },
      windows: windows.map(({ policy }) => policy.name).filter((name) => !changed!.includes(name)),
    };
  }

  /**
   * Replaces the running sources. A removed or changed source finishes its current chunk first, so that two definitions
   * never drain one queue (tests/unit/app/running_sources_test.ts). Unchanged sources keep running, also with other
   * windows: so the closed gate is remembered, and a canary group follows. Does nothing after a stop.
   */
  apply(setups: readonly SourceDefinition[]): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#isStopped) return;
      const { removed, changed } = this.compare(setups);
      await Promise.all([...removed, ...changed].map((name) => stop(this.#sources.get(name)!)));
      // A shutdown that began meanwhile stops the other sources; these are stopped already.
      if (this.#isStopped) return;
      this.#forget({ removed, changed });
      this.#sources = new Map(setups.map((setup) => [setup.policy.name, this.#keepOrBuild(setup, { changed })]));
    });
  }

  /** Stops every source after its current chunk. Safe to call twice. */
  stop(): Promise<void> {
    this.#isStopped = true;
    const stopping = this.list().map(stop);
    return this.#enqueue(async () => void await Promise.all([...stopping, ...this.list().map(stop)]));
  }

  #keepOrBuild(setup: SourceDefinition, { changed }: { changed: readonly string[] }): RunningSource {
    const { name } = setup.policy;
    const running = this.#sources.get(name);
    if (running && !changed.includes(name)) {
      if (hasOtherWindows(setup, running)) {
        running.parts.useWindows(setup.windows);
        running.loop.wake();
      }
      return running;
    }
    this.#deps.metrics.addSource(describeForMetrics(setup));
    const built = this.#deps.build(setup);
    if (this.#isDriven) start(built);
    return built;
  }

  /** Removes the metrics of all old sources before any source is added: a list may move from one source to another. */
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

/** Describes a source for the metrics. */
export function describeForMetrics({ policy, gates, downstreamQueues }: SourceDefinition): MeasuredSource {
  return { name: policy.name, gates, queues: measuredQueues(policy, downstreamQueues) };
}

/** Whether a source may go on as it is, perhaps with other windows. Definitions are plain data from one factory, so comparing their JSON is enough. */
function isSame(setup: SourceDefinition, running: RunningSource | undefined): boolean {
  const without = (definition: SourceDefinition) => JSON.stringify({ ...definition, windows: [] });
  return running !== undefined && without(setup) === without(running.parts.setup);
}

function hasOtherWindows({ windows }: SourceDefinition, running: RunningSource | undefined): boolean {
  return running !== undefined && JSON.stringify(windows) !== JSON.stringify(running.parts.setup.windows);
}

function start({ parts, loop }: RunningSource): void {
  parts.leadership.start();
  loop.start();
  for (const watch of parts.watches) watch.start();
}

/** The loop first: what its last chunk moved is counted by what the watches write at their end. */
async function stop({ parts, loop }: RunningSource): Promise<void> {
  await loop.stop();
  await Promise.all(parts.watches.map((watch) => watch.stop()));
  await parts.stop();
}
