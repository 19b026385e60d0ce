/** Loads a Lua script as a typed call: EVALSHA, and EVAL where the server does not know it yet. */
import type { Redis } from "ioredis";

/** A Lua script as imported text, and how many keys it names. */
export interface ScriptSource {
  /** Name under which the client registers it; unique. */
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

/** Calls a script: keys first, then arguments. Bulk replies come as `Buffer`. Rejects with the client's errors. */
export type Script = (...keysAndArguments: (string | number | Buffer)[]) => Promise<unknown>;

/** Registers a script with a connection. Safe to call again with the same source. */
export function loadScript(redis: Redis, { name, keys, lua }: ScriptSource): Script {
  redis.defineCommand(name, { numberOfKeys: keys, lua });
  const commands = redis as unknown as Record<string, Script>;
  return (...keysAndArguments) => commands[`${name}Buffer`]!.apply(redis, keysAndArguments);
}
