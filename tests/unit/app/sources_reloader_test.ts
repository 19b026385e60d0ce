import assert from "node:assert/strict";
import type { SourceChange } from "../../../src/app/running_sources.ts";
import type { SourceDefinition } from "../../../src/gates/source_definition.ts";
import { createSources } from "../../../src/mutt/built_in_sources.ts";
import { SourcesReloader } from "../../../src/app/sources_reloader.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { type ParsedSources } from "../../../src/config/sources.ts";
import { parseSources } from "../../../src/config/sources_file.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";

const ORDERS = `{"sources": {"orders": {"dlq": "o:dlq", "target": "o", "dead": "o:dead"}}}`;

function setup() {
  const { log, lines } = recordLog();
  const state = {
    text: `{"sources": {}}`,
    running: "",
    applied: "",
    problems: [] as string[],
    error: null as Error | null,
  };
  const namesOf = (setups: readonly SourceDefinition[]) => setups.map(({ policy }) => policy.name).join();
  state.running = "alerter";
  const results: string[] = [];
  const reloader = new SourcesReloader({
    load: (): ParsedSources => parseSources(state.text, DEFAULT_SETTINGS),
    createSources: (file) => createSources(DEFAULT_SETTINGS, file),
    inspect: () => state.error ? Promise.reject(state.error) : Promise.resolve(state.problems),
    sources: {
      compare: (setups): SourceChange =>
        namesOf(setups) === state.running
          ? { added: [], removed: [], changed: [] }
          : { added: [namesOf(setups)], removed: [], changed: [] },
      apply: (setups) => {
        state.running = namesOf(setups);
        return Promise.resolve();
      },
    },
    ...{ clock: SYSTEM_CLOCK, log },
    onApplied: (file) => state.applied = [...file.keys()].join(),
    onReload: (result) => results.push(result),
    onBug: (error) => assert.fail(String(error)),
  });
  const takeEvents = () => lines.splice(0).map(({ event }) => event);
  return { state, results, reloader, takeEvents };
}

Deno.test("SourcesReloader: takes a changed file over once, and says nothing of one that is the same", async () => {
  const { state, results, reloader, takeEvents } = setup();
  await reloader.lookOnce();
  assert.deepEqual(takeEvents(), []);
  state.text = ORDERS;
  await reloader.lookOnce();
  await reloader.lookOnce();
  assert.deepEqual([state.running, state.applied], ["alerter,orders", "orders"]);
  assert.deepEqual([takeEvents(), results], [["sources_applied"], ["applied"]]);
});

Deno.test("SourcesReloader: keeps the old sources under a bad file, tells it once, and again when asked", async () => {
  const { state, results, reloader, takeEvents } = setup();
  state.text = "{";
  await reloader.lookOnce();
  await reloader.lookOnce();
  assert.deepEqual(results, ["rejected"]);
  await reloader.lookOnce({ isAsked: true });
  state.text = `{"sources": 5}`;
  await reloader.lookOnce();
  assert.equal(state.running, "alerter");
  assert.deepEqual(takeEvents(), ["sources_rejected", "sources_rejected", "sources_rejected"]);
  state.text = `{"sources": {}}`;
  await reloader.lookOnce();
  await reloader.lookOnce();
  assert.deepEqual(takeEvents(), ["sources_unchanged"]);
  state.text = "{";
  await reloader.lookOnce();
  assert.deepEqual(takeEvents(), ["sources_rejected"]);
});

Deno.test("SourcesReloader: refuses what Redis forbids, and waits for one that does not answer", async () => {
  const { state, results, reloader, takeEvents } = setup();
  state.text = ORDERS;
  state.error = new Error("Connection is closed.");
  await reloader.lookOnce();
  assert.deepEqual([takeEvents(), results, state.running], [[], [], "alerter"]);
  state.error = null;
  state.problems = ["different slots"];
  await reloader.lookOnce();
  assert.deepEqual([takeEvents(), results, state.running], [["sources_rejected"], ["rejected"], "alerter"]);
  assert.equal(state.applied, "");
  state.problems = [];
  await reloader.lookOnce();
  assert.deepEqual([takeEvents(), state.running], [["sources_applied"], "alerter,orders"]);
});

Deno.test("SourcesReloader: tells an answer to each SIGHUP, and stops at once", async () => {
  const { reloader, takeEvents } = setup();
  reloader.ask();
  reloader.start();
  await reloader.stop();
  assert.deepEqual(takeEvents(), ["sources_unchanged"]);
});
