/** Runs the service from source and restarts it when a file changes. */
import { parse } from "dotenv";
import { permissionFlags } from "./compile.ts";
import { ROOT, runDeno } from "./child.ts";
import { startRedisServer } from "./redis_server.ts";

/** Time limit for the service to stop, in milliseconds. The file watcher around it never ends and must be killed. */
const GRACE_MS = 5_000;

/** Runs until Ctrl-C, with the Redis from `.env` or the environment, else with its own. @returns an exit code. */
export async function runDev(args: readonly string[]): Promise<number> {
  // Ctrl-C also reaches the service; this process must only outlive it. SIGTERM is forwarded below.
  Deno.addSignalListener("SIGINT", () => {});
  if (namesRedis({ ...await readDotEnv(), ...Deno.env.toObject() })) return await serve(args, {});
  const redis = await startRedisServer();
  console.error(`Started Redis on ${redis.url} (set REDIS_URL or REDIS_HOST, here or in .env, to use another)`);
  try {
    return await serve(args, { REDIS_URL: redis.url });
  } finally {
    await redis.stop();
  }
}

/** Whether these variables name a Redis. */
export function namesRedis(variables: Readonly<Record<string, string>>): boolean {
  return Boolean(variables.REDIS_URL || variables.REDIS_HOST);
}

function serve(args: readonly string[], env: Record<string, string>): Promise<number> {
  return runDeno(["run", "--watch", "--no-clear-screen", ...permissionFlags(), "src/main.ts", ...args], {
    env,
    graceMs: GRACE_MS,
  });
}

async function readDotEnv(): Promise<Record<string, string>> {
  try {
    return parse(await Deno.readTextFile(`${ROOT}.env`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}
