import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { correlationIdOf } from "../../../src/message/preview.ts";
import { createLog, type LogLevel } from "../../../src/observability/log.ts";
import { Account } from "../../../src/replay/account.ts";
import type { JudgedChunk } from "../../../src/replay/judge_chunk.ts";
import { createMetrics } from "../../../testkit/engine.ts";
import { watchOutput } from "../../../testkit/secrets_net.ts";
import { TestClock } from "../../../testkit/test_clock.ts";
import { PLAIN_POLICY as POLICY } from "../../../testkit/policy.ts";

/** A message that counts how often anything of it is read. */
function watchReads(text: string): { message: Buffer; reads: () => number } {
  let reads = 0;
  const message = new Proxy(Buffer.from(text), {
    get(bytes, name) {
      reads++;
      const value: unknown = Reflect.get(bytes, name, bytes);
      return typeof value === "function" ? value.bind(bytes) : value;
    },
  });
  return { message, reads: () => reads };
}

function planOf(message: Buffer): JudgedChunk {
  return {
    ...{
      cycle: 1,
      messages: [message],
      oversize: null,
      moves: [{ to: "dead", payload: null }],
      replayed: 0,
      firsts: 0,
    },
    ...{ places: null, spent: 1, bytes: message.length, endsCycle: false, drill: null, recordChanges: [] },
    deaths: [{ reason: "poison", detail: "failed 5 times", bytes: message.length, message }],
  };
}

for (const [level, events] of [["INFO", ["dead"]], ["DEBUG", ["dead", "dead_preview", "commit"]]] as const) {
  Deno.test(`moved: ${level === "INFO" ? "makes no preview" : "previews a dead message"} when the level is ${level}`, () => {
    const lines: string[] = [], clock = new TestClock();
    const write = (line: string) => {
      lines.push(JSON.parse(line).event);
      watchOutput("log", line);
    };
    const log = createLog({ clock, write, level: level as LogLevel, format: "json", podName: "p", version: "1" });
    const account = new Account(POLICY, { metrics: createMetrics("alerter", []), log, clock, countRedrive: () => {} });
    // With escapes: plain strings are decoded at once, and not byte by byte, where reads can be counted.
    const text = '{"_correlation_id": "c\\u002d1", "hostname": "\\u0068"}';
    const { message, reads } = watchReads(text), alone = watchReads(text);
    const plan = planOf(message), before = reads();
    correlationIdOf(alone.message);
    account.moved(plan);
    assert.deepEqual(lines, events);
    const more = reads() - before - alone.reads();
    assert.ok(level === "INFO" ? more === 0 : more > 0, `${more} reads beside those for the correlation id`);
  });
}
