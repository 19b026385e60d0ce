/** Ours, the original and bare moves as peers: the drainers of the other families, and the same redrives in their own processes. */
import { fileURLToPath } from "node:url";
import { ROOT } from "../../scripts/child.ts";
import { startService } from "../../testkit/service.ts";
import type { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench } from "../harness/family.ts";
import { type MoverCommand, type Redrive, startRedrive } from "../harness/mover.ts";
import { serviceEnv } from "../harness/service_drain.ts";
import { createLmove, createLmoveInC } from "./lmove.ts";
import { createOriginalPython, createOriginalTypeScript, findPython, ORIGINAL_SCRIPT } from "./original.ts";
import { createOurs } from "./ours.ts";
import { createListPeer, type FoundPeer, type Peer } from "./peer.ts";

const MOVER = fileURLToPath(new URL("list_mover.ts", import.meta.url));
/** Exit codes of `once` after which the messages that are left can be tried again: done, and nothing moved. */
const GOOD_EXITS: readonly number[] = [0, 3];

/** What {@link MOVER} runs. */
export type MoverName = "lmove" | "original";

/** Ours. Killed is the command `once`, which as an operator would takes over from the instance that died. */
export function createOursPeer(redis: BenchRedis, bench: Bench): Peer {
  return createListPeer(redis, { drainer: createOurs(redis, bench), start: () => startOnce(redis) });
}

/** The original's algorithm: in Python where there is one, else in TypeScript. */
export async function createOriginalPeer(redis: BenchRedis, bench: Bench): Promise<Peer> {
  const python = await findPython();
  if (python === null) {
    const start = () => startRedrive(moverCommand(redis, "original"));
    return createListPeer(redis, { drainer: createOriginalTypeScript(redis), start });
  }
  const command = (count: number) => [python.program, ORIGINAL_SCRIPT, String(redis.port), String(count)] as const;
  return createListPeer(redis, {
    drainer: createOriginalPython(python, redis, bench),
    start: () => startRedrive({ command: [...command(Number.MAX_SAFE_INTEGER)] }),
  });
}

/** `LMOVE` by ioredis, so many a trip. */
export function createLmovePeer(redis: BenchRedis, bench: Bench, pipelined: number): Peer {
  return createListPeer(redis, {
    drainer: createLmove(redis, bench, pipelined),
    start: () => startRedrive(moverCommand(redis, "lmove", pipelined)),
  });
}

/** `LMOVE` by redis-benchmark, so many a trip. */
export async function createLmoveInCPeer(redis: BenchRedis, bench: Bench, pipelined: number): Promise<FoundPeer> {
  const drainer = await createLmoveInC(redis, bench, pipelined);
  if (drainer === null) return { leftOut: "No redis-benchmark here." };
  return { peer: createListPeer(redis, { drainer, start: () => startRedrive(drainer.commandFor(MOST_REQUESTS)) }) };
}

/** More than there ever are; an `LMOVE` of an empty list does nothing. */
const MOST_REQUESTS = 200_000;

function moverCommand({ port }: BenchRedis, name: MoverName, pipelined = 1): MoverCommand {
  const run = ["run", "-A", `--config=${ROOT}deno.json`, MOVER];
  return { command: [Deno.execPath(), ...run, name, String(port), String(pipelined)] };
}

function startOnce(redis: BenchRedis): Redrive {
  const service = startService({ args: ["once", "--force"], env: serviceEnv(redis) });
  const ended = service.exit.then(({ code, signal }): "done" | "killed" => {
    if (signal === "SIGKILL") return "killed";
    if (GOOD_EXITS.includes(code)) return "done";
    throw new Error(`"once" ended with exit code ${code}: ${service.stderr.slice(-5).join("\n")}`);
  });
  ended.catch(() => {}); // handled by the caller, who awaits it
  return {
    kill: () => service.signal("SIGKILL"),
    ended,
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}
