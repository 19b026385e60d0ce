import assert from "node:assert/strict";
import { type RunningSource, RunningSources } from "../../../src/app/running_sources.ts";
import type { SourceDefinition } from "../../../src/gates/source_definition.ts";
import { createSources } from "../../../src/mutt/built_in_sources.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import type { SourceEntry } from "../../../src/config/source_fields.ts";
import type { WindowEntry } from "../../../src/config/window_fields.ts";

const lists = (name: string) => ({ dlq: `${name}:dlq`, target: name, dead: `${name}:dead` });

function setupsOf(
  entries: Record<string, SourceEntry>,
  windows: readonly WindowEntry[] = [],
): readonly SourceDefinition[] {
  return createSources(DEFAULT_SETTINGS, { sources: new Map(Object.entries(entries)), windows }).slice(1);
}

/** A set over sources that only write down what happens to them. A loop's stop waits for `release`, where one is given. */
function setup(entries: Record<string, SourceEntry>, { release }: { release?: Promise<void> } = {}) {
  const events: string[] = [];
  const part = (what: string, name: string) => ({
    start: () => void events.push(`start ${what} ${name}`),
    stop: async () => {
      if (what === "loop") await release;
      events.push(`stop ${what} ${name}`);
    },
  });
  const set = new RunningSources(setupsOf(entries), {
    metrics: {
      addSource: ({ name }) => events.push(`add ${name}`),
      removeSource: ({ name }, { keepCounters }) =>
        events.push(`remove ${name}${keepCounters ? ", keep counters" : ""}`),
    },
    build(source) {
      const { name } = source.policy;
      events.push(`build ${name}`);
      const leadership = { start: () => {} };
      const parts = { setup: source, leadership, watches: [part("watch", name)], stop: part("gates", name).stop };
      const useWindows = (windows: SourceDefinition["windows"]) => {
        events.push(`windows ${name}: ${windows.map(({ reason }) => reason)}`);
        parts.setup = { ...parts.setup, windows };
      };
      const loop = { ...part("loop", name), wake: () => void events.push(`wake ${name}`) };
      return { parts: Object.assign(parts, { useWindows }), loop } as unknown as RunningSource;
    },
  });
  return { set, takeEvents: () => events.splice(0) };
}

Deno.test("RunningSources: starts, stops and rebuilds what differs, and touches nothing else", async () => {
  const { set, takeEvents } = setup({ a: lists("a"), b: lists("b"), c: lists("c") });
  set.drive();
  takeEvents();
  const [a] = set.list();
  await set.apply(setupsOf({ a: lists("a"), c: { ...lists("c"), maxReplays: 5 }, d: lists("d") }));
  const events = takeEvents();
  assert.deepEqual(
    events.slice(0, 6).sort(),
    ["b", "c"].flatMap((name) => ["stop gates", "stop loop", "stop watch"].map((what) => `${what} ${name}`)).sort(),
  );
  assert.deepEqual(events.slice(6), [
    ...["remove b", "remove c, keep counters"],
    ...["add c", "build c", "start loop c", "start watch c"],
    ...["add d", "build d", "start loop d", "start watch d"],
  ]);
  assert.deepEqual(set.list().map(({ parts }) => parts.setup.policy.name), ["a", "c", "d"]);
  assert.equal(set.list()[0], a);
});

Deno.test("RunningSources: does nothing when the sources are the same, in whatever order", async () => {
  const { set, takeEvents } = setup({ a: lists("a"), b: lists("b") });
  takeEvents();
  assert.deepEqual(set.compare(setupsOf({ b: lists("b"), a: lists("a") })), {
    ...{ added: [], changed: [], removed: [], windows: [] },
  });
  await set.apply(setupsOf({ b: lists("b"), a: lists("a") }));
  assert.deepEqual(takeEvents(), []);
});

Deno.test("RunningSources: a source goes on with other windows, and is rebuilt if more than that differs", async () => {
  const { set, takeEvents } = setup({ a: lists("a"), b: lists("b") });
  set.drive();
  takeEvents();
  const [a, b] = set.list(), night = { from: "0 22 * * *", to: "0 6 * * *", reason: "night" };
  const next = setupsOf({ a: lists("a"), b: { ...lists("b"), maxReplays: 5 } }, [night]);
  assert.deepEqual(set.compare(next), { added: [], changed: ["b"], removed: [], windows: ["a"] });
  await set.apply(next);
  const events = takeEvents();
  assert.deepEqual(events.filter((event) => / a\b/.test(event)), ["windows a: night", "wake a"]);
  assert.ok(events.includes("build b"));
  assert.deepEqual([set.list()[0] === a, set.list()[1] === b], [true, false]);
  assert.deepEqual(set.compare(next), { added: [], changed: [], removed: [], windows: [] });
});

Deno.test("RunningSources: a queue goes to another source only when the first has finished its chunk", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { set, takeEvents } = setup({ a: lists("x") }, { release: promise });
  set.drive();
  takeEvents();
  const applied = set.apply(setupsOf({ b: lists("x") }));
  await new Promise((done) => setTimeout(done, 0));
  assert.ok(!takeEvents().includes("build b"));
  resolve();
  await applied;
  const events = takeEvents();
  assert.ok(events.indexOf("stop loop a") < events.indexOf("build b"), events.join());
});

Deno.test("RunningSources: starts nothing that it was given while it stops", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { set, takeEvents } = setup({ a: lists("a") }, { release: promise });
  set.drive();
  takeEvents();
  const applied = set.apply(setupsOf({ b: lists("b") }));
  const stopped = set.stop();
  resolve();
  await Promise.all([applied, stopped, set.apply(setupsOf({ c: lists("c") }))]);
  assert.deepEqual(takeEvents().filter((event) => /build|start/.test(event)), []);
});
