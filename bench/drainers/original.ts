/** The original's algorithm (pop, judge, push, one message at a time), in its own language and in this one. */
import { fileURLToPath } from "node:url";
import { replay } from "../../testkit/mutt/original.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench } from "../harness/family.ts";
import { run } from "../harness/program.ts";
import { type Drainer, spend } from "./drainer.ts";

/** The script in Python: `PORT COUNT`. */
export const ORIGINAL_SCRIPT: string = fileURLToPath(new URL("original.py", import.meta.url));
/** Debian's own Python is the one that sees Debian's `python3-redis`. */
const PYTHONS = ["python3", "/usr/bin/python3"];
const LOOK = "import platform, redis; print(f'Python {platform.python_version()}, redis-py {redis.__version__}')";

/** A Python that has redis-py. */
export interface Python {
  readonly program: string;
  /** Its versions, for people. */
  readonly version: string;
}

/** Looks for one. */
export async function findPython(): Promise<Python | null> {
  for (const program of PYTHONS) {
    const version = await run([program, "-c", LOOK]).catch(() => null);
    if (version !== null) return { program, version: version.trim() };
  }
  return null;
}

/** In Python, as a process of its own; its start does not count. */
export function createOriginalPython({ program }: Python, redis: BenchRedis, { signal }: Bench): Drainer {
  return {
    ...{ name: "original (Python)", isSlow: true, judges: true },
    async drain(count) {
      const answer = await run([program, ORIGINAL_SCRIPT, String(redis.port), String(count)], { signal });
      const { seconds, cpu_seconds } = JSON.parse(answer) as { seconds: number; cpu_seconds: number };
      return { seconds, clientCpuUs: cpu_seconds * 1e6 };
    },
  };
}

/** In TypeScript, in this process. */
export function createOriginalTypeScript(redis: BenchRedis): Drainer {
  const client = redis.client();
  return {
    ...{ name: "original (TypeScript)", isSlow: true, judges: true },
    drain: (count) => spend(() => replay(client, { batchSize: count })),
  };
}
