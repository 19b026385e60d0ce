/** Runs every kept input of `tests/corpus` through the parser that it is for. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { LiveSettings } from "../../src/mutt/dynamic_keys.ts";
import { DEFAULT_SETTINGS, FIELDS, SETTING_KEYS } from "../../src/config/fields.ts";
import { parseDotEnv } from "../../src/config/layers.ts";
import { parseSettings } from "../../src/config/load.ts";
import { MAX_PROBLEMS } from "../../src/config/file_problems.ts";
import { parseSources } from "../../src/config/sources_file.ts";
import { judgeBreaker } from "../../src/mutt/breaker.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { parseCycleState } from "../../src/cycle/cycle_state.ts";
import { HTTP_REQUESTS } from "../corpus/http_requests.ts";
import { LOG_TEXTS } from "../corpus/log_texts.ts";
import { MESSAGES } from "../corpus/messages.ts";
import { BREAKERS, DYNAMIC_VALUES, RECORDS } from "../corpus/redis_values.ts";
import { DOT_ENVS, SETTINGS } from "../corpus/settings.ts";
import { SOURCES_FILES } from "../corpus/sources_files.ts";
import { passedOfCorpus, testCorpus } from "../../testkit/corpus.ts";
import { checkMessage, readingOf } from "../../testkit/message_checks.ts";
import { checkLine, checkTold } from "../../testkit/told.ts";
import { isLongForm } from "../../testkit/payloads.ts";
import { sendRaw } from "../../testkit/raw_http.ts";
import { withListeners } from "../../testkit/listeners.ts";

testCorpus("messages.ts", MESSAGES, ({ bytes, wanted, isHuge }) => {
  const message = bytes();
  const heapBefore = Deno.memoryUsage().heapUsed;
  const { readable } = readMessage(message);
  if (isHuge) assert.ok(Deno.memoryUsage().heapUsed - heapBefore < 32 * 1_048_576, "reading keeps places, not values");
  assert.equal(readable, wanted === "readable");
  assert.equal(readingOf(message), wanted);
  if (!isHuge || isLongForm()) checkMessage(message);
});

testCorpus("settings.ts", SETTINGS, ({ variable, text, wanted }) => {
  for (const layer of ["environment", "dotEnv"] as const) {
    // A `.env` file's comments and quotes are off before.
    if (layer === "dotEnv" && /[#"]/.test(text)) continue;
    const loaded = parseSettings({
      ...{ environment: {}, dotEnv: {}, readFile: () => "", parseSources },
      [layer]: { [variable]: text },
    });
    checkTold(loaded, { secret: "hidden" });
    if (!loaded.ok) assert.ok(loaded.problems.every((problem) => problem.startsWith(variable)), loaded.problems.join());
    const key = SETTING_KEYS.find((one) =>
      FIELDS[one].variable === variable || FIELDS[one].aliases.includes(variable)
    )!;
    const outcome = !loaded.ok ? "refused" : loaded.origins[key].layer === "default" ? "unset" : "taken";
    assert.equal(outcome, wanted);
  }
});

testCorpus("settings.ts", DOT_ENVS, ({ text, wanted }) => {
  const { variables } = parseDotEnv(text);
  const ours = Object.entries(variables).filter(([name]) => ["REDIS_DB", "LOG_LEVEL"].includes(name));
  assert.deepEqual(Object.fromEntries(ours), wanted);
});

testCorpus("sources_files.ts", SOURCES_FILES, ({ text, wanted }) => {
  const parsed = parseSources(text(), DEFAULT_SETTINGS);
  if (wanted === null) assert.ok(parsed.ok, JSON.stringify(parsed));
  else assert.ok(!parsed.ok && wanted.test(parsed.problems[0]!), parsed.ok ? "taken" : parsed.problems[0]);
  if (!parsed.ok) assert.ok(parsed.problems.length <= MAX_PROBLEMS + 1);
  checkTold(parsed, { secret: "hidden" });
});

testCorpus("redis_values.ts", DYNAMIC_VALUES, ({ key, text, wanted }) => {
  const applied = new LiveSettings(DEFAULT_SETTINGS).apply(key, text);
  assert.equal(applied.result, wanted);
  if (applied.result === "rejected") checkTold({ ok: false, problems: [applied.problem] });
});

testCorpus("redis_values.ts", RECORDS, ({ fields, wanted }) => {
  const record = parseCycleState(fields.flat());
  assert.deepEqual({ ...record, ...wanted }, record);
});

testCorpus("redis_values.ts", BREAKERS, ({ state, openTime, wanted }) => {
  const nowMs = 1_003_600_000;
  const memory = { reading: { state, openTime }, sinceMs: nowMs - 100_000 };
  assert.equal(judgeBreaker(memory, { nowMs, timeoutMs: 300_000 }).kind, wanted);
});

testCorpus("log_texts.ts", LOG_TEXTS, ({ text }) => checkLine(text));

testCorpus("http_requests.ts", HTTP_REQUESTS, ({ raw, wanted }) =>
  withListeners(async (listeners) => {
    const request = Uint8Array.from(Buffer.from(raw(), "latin1"));
    // The ports differ in their pages alone, so the largest need not go to both.
    for (const { port, isAlive } of listeners.slice(0, request.length > 10_000_000 ? 1 : 2)) {
      const { statuses, text, isClosed } = await sendRaw(port, request);
      assert.ok(isClosed, "it holds the connection open");
      assert.ok(!/set-cookie|forged|hidden|passwd/i.test(text), "it repeats what was sent");
      const isRefused = statuses.every((status) => (status >= 400 && status < 500) || status === 501 || status === 505);
      const isAnswered = statuses.length === 1 && statuses[0] === 200;
      // 100: leave to send a body, before the refusal.
      const outcome = isAnswered
        ? "answered"
        : isRefused || (statuses[0] === 100 && wanted === "refused")
        ? "refused"
        : "neither";
      assert.ok(outcome === wanted || (wanted === "either" && outcome !== "neither"), `${outcome}: ${statuses}`);
      assert.ok(await isAlive(), "it does not answer any more");
    }
  }));

Deno.test("corpus: every input of every file was run, and passed", async () => {
  const passed = passedOfCorpus();
  const folder = new URL("../corpus/", import.meta.url);
  for (const { name: file } of Deno.readDirSync(folder)) {
    const tables: unknown[][] = Object.values(await import(new URL(file, folder).href));
    const names = tables.flat().map((kept) => (kept as { name: string }).name);
    assert.ok(names.length > 0, file);
    assert.deepEqual(passed.get(file)?.toSorted(), names.toSorted(), file);
  }
});
