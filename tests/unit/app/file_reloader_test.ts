import assert from "node:assert/strict";
import type { SourceChange } from "../../../src/app/running_sources.ts";
import type { SourceDefinition } from "../../../src/gates/source_definition.ts";
import { createSources } from "../../../src/mutt/built_in_sources.ts";
import { compareNotify, compareSources } from "../../../src/app/file_changes.ts";
import { FileReloader } from "../../../src/app/file_reloader.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import type { NotifyFile } from "../../../src/config/notify.ts";
import { parseNotify } from "../../../src/config/notify_file.ts";
import type { SourcesFile } from "../../../src/config/sources.ts";
import { parseSources } from "../../../src/config/sources_file.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { CONTEXT, RECEIVERS } from "../../../testkit/notify.ts";
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
  const target = {
    createSources: (file: SourcesFile) => createSources(DEFAULT_SETTINGS, file),
    inspect: () => state.error ? Promise.reject(state.error) : Promise.resolve(state.problems),
    sources: {
      compare: (setups: readonly SourceDefinition[]): SourceChange =>
        namesOf(setups) === state.running
          ? { added: [], removed: [], changed: [], windows: [] }
          : { added: [namesOf(setups)], removed: [], changed: [], windows: [] },
      apply: (setups: readonly SourceDefinition[]) => {
        state.running = namesOf(setups);
        return Promise.resolve();
      },
    },
    onApplied: (file: SourcesFile) => void (state.applied = [...file.sources.keys()].join()),
  };
  const reloader = new FileReloader<SourcesFile>({
    ...{ name: "sources", clock: SYSTEM_CLOCK, log },
    load: () => Promise.resolve(parseSources(state.text, DEFAULT_SETTINGS)),
    compare: (file) => compareSources(file, target),
    onReload: (result) => void results.push(result),
    onBug: (error) => assert.fail(String(error)),
  });
  const takeEvents = () => lines.splice(0).map(({ event }) => event);
  const askOnce = () => {
    reloader.ask();
    return reloader.runOnce();
  };
  return { state, results, reloader, askOnce, takeEvents };
}

Deno.test("FileReloader: takes a changed file over once, and says nothing of one that is the same", async () => {
  const { state, results, reloader, takeEvents } = setup();
  await reloader.runOnce();
  assert.deepEqual(takeEvents(), []);
  state.text = ORDERS;
  await reloader.runOnce();
  await reloader.runOnce();
  assert.deepEqual([state.running, state.applied], ["alerter,orders", "orders"]);
  assert.deepEqual([takeEvents(), results], [["sources_applied"], ["applied"]]);
});

Deno.test("FileReloader: keeps the old sources under a bad file, tells it once, and again when asked", async () => {
  const { state, results, reloader, askOnce, takeEvents } = setup();
  state.text = "{";
  await reloader.runOnce();
  await reloader.runOnce();
  assert.deepEqual(results, ["rejected"]);
  await askOnce();
  state.text = `{"sources": 5}`;
  await reloader.runOnce();
  assert.equal(state.running, "alerter");
  assert.deepEqual(takeEvents(), ["sources_rejected", "sources_rejected", "sources_rejected"]);
  state.text = `{"sources": {}}`;
  await reloader.runOnce();
  await reloader.runOnce();
  assert.deepEqual(takeEvents(), ["sources_unchanged"]);
  assert.equal(results.at(-1), "applied", "the rejection is over for those who were notified of it");
  state.text = "{";
  await reloader.runOnce();
  assert.deepEqual(takeEvents(), ["sources_rejected"]);
});

Deno.test("FileReloader: refuses what Redis forbids, and waits for one that does not answer", async () => {
  const { state, results, reloader, takeEvents } = setup();
  state.text = ORDERS;
  state.error = new Error("Connection is closed.");
  await reloader.runOnce();
  assert.deepEqual([takeEvents(), results, state.running], [[], [], "alerter"]);
  state.error = null;
  state.problems = ["different slots"];
  await reloader.runOnce();
  assert.deepEqual([takeEvents(), results, state.running], [["sources_rejected"], ["rejected"], "alerter"]);
  assert.equal(state.applied, "");
  state.problems = [];
  await reloader.runOnce();
  assert.deepEqual([takeEvents(), state.running], [["sources_applied"], "alerter,orders"]);
});

Deno.test("FileReloader: tells an answer to each SIGHUP, and stops at once", async () => {
  const { reloader, takeEvents } = setup();
  reloader.ask();
  reloader.start();
  await reloader.stop();
  assert.deepEqual(takeEvents(), ["sources_unchanged"]);
});

Deno.test("FileReloader: applies a changed notify file once, and notes that a rejected one was put back", async () => {
  const { log, lines } = recordLog(), results: string[] = [];
  const first = parseNotify("receivers: {}", CONTEXT);
  assert.ok(first.ok);
  const state = { text: "receivers: {}", current: first.file };
  const reloader = new FileReloader<NotifyFile>({
    ...{ name: "notify", clock: SYSTEM_CLOCK, log },
    load: () => Promise.resolve(parseNotify(state.text, CONTEXT)),
    compare: (file) =>
      compareNotify(file, {
        current: state.current,
        apply: (file) => Promise.resolve(void (state.current = file)),
      }),
    onReload: (result, detail) => void results.push(`${result}: ${detail}`),
    onBug: (error) => assert.fail(String(error)),
  });
  const texts = ["receivers: {}", `receivers: {ops: ${JSON.stringify(RECEIVERS.slack)}}`, "receivers: 5"];
  for (const text of [...texts, texts[1]!]) {
    state.text = text;
    await reloader.runOnce();
    await reloader.runOnce();
  }
  assert.deepEqual(state.current.receivers.map(({ name }) => name), ["ops"]);
  assert.deepEqual(lines.map(({ event }) => event), ["notify_applied", "notify_rejected", "notify_unchanged"]);
  assert.equal(results.length, 3);
  assert.equal(results[0], "applied: 1 receiver");
  assert.match(results[1]!, /^rejected: receivers 5 is not /);
  assert.equal(results[2], "applied: the file is as before");
});
