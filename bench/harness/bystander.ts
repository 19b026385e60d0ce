/** Pings Redis every millisecond from another process while something is going on. */
import { fileURLToPath } from "node:url";
import type { BenchRedis } from "./bench_redis.ts";

const PROGRAM = fileURLToPath(new URL("../bystander.ts", import.meta.url));

/** How long pings took, in milliseconds. */
export interface Pings {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Pings while `work` is done. */
export async function pingWhile(redis: BenchRedis, work: () => Promise<unknown>): Promise<Pings> {
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-prompt", "--allow-net=127.0.0.1", PROGRAM, String(redis.port)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    await lines.read(); // it has begun
    await work();
  } finally {
    await child.stdin.close().catch(() => {}); // it ends and tells
  }
  let text = "";
  for (let part = await lines.read(); !part.done; part = await lines.read()) text += part.value;
  return JSON.parse(text) as Pings;
}
