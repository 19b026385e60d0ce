/** Where a benchmark ran, and what. */
import { describeCommit } from "../../scripts/compile.ts";
import { findPython } from "../drainers/original.ts";
import { BenchRedis } from "./bench_redis.ts";

/** For the head of a report. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly deno: string;
  readonly redis: string;
  readonly python: string | null;
  /** How the service is run where it is a process. */
  readonly service: string;
  readonly commit: string;
  /** ISO 8601. */
  readonly day: string;
  /** Load average of the last minute. */
  readonly load: number;
}

/** Looks around. */
export async function describeMachine(): Promise<Machine> {
  const cpuInfo = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return {
    cpu: /^model name\s*:\s*(.*)$/m.exec(cpuInfo)?.[1] ?? "unknown",
    cores: navigator.hardwareConcurrency,
    memoryGiB: Deno.systemMemoryInfo().total / 2 ** 30,
    os: `${Deno.build.os} ${Deno.osRelease()}`,
    deno: Deno.version.deno,
    redis: await redisVersion(),
    python: (await findPython())?.version ?? null,
    service: Deno.env.get("MUTT_REMEDIATION_BINARY") === undefined ? "from source" : "compiled",
    commit: await describeCommit(),
    day: new Date().toISOString().slice(0, 10),
    load: Deno.loadavg()[0]!,
  };
}

async function redisVersion(): Promise<string> {
  await using redis = await BenchRedis.start();
  return await redis.version();
}
