/** Scripts that move inside Redis: one that judges there, and one without a bound. */
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { loadScript } from "../../src/redis/scripts.ts";
import { DEAD, DLQ, TARGET } from "../../testkit/engine.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench } from "../harness/family.ts";
import { type Drainer, spend } from "./drainer.ts";
import judgeAndMove from "./judge_and_move.lua" with { type: "text" };

const FAILED_AT = "2026-01-15T14:30:00.000Z";

/** Judges in Lua, in chunks of the same bounds as ours. */
export function createLuaVerdict(redis: BenchRedis, { signal }: Bench, messageBytes: number): Drainer {
  const script = loadScript(redis.client(), { name: "judgeAndMove", keys: 3, lua: judgeAndMove });
  const { chunkMessages, chunkBytes, maxPoisonRetries } = DEFAULT_SETTINGS;
  const chunk = Math.max(1, Math.min(chunkMessages, Math.floor(chunkBytes / messageBytes)));
  const drain = async () => {
    while (!signal.aborted && await script(DLQ, TARGET, DEAD, chunk, maxPoisonRetries, FAILED_AT) !== 0);
  };
  return { ...{ name: "verdict in Lua", isSlow: false, judges: true }, drain: () => spend(drain) };
}

/** Everything in one script, as some replayers do: nobody else is served before it ends. */
export function createOneScript(redis: BenchRedis): Drainer {
  const client = redis.client();
  const lua = "while redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT') do end";
  const drain = () => spend(async () => void await client.eval(lua, 2, DLQ, TARGET));
  return { ...{ name: "one script over all", isSlow: false, judges: false }, drain };
}
