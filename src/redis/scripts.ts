/**
 * Loads a Lua script as a typed call: EVALSHA, and EVAL where the server does not know it yet. A line `-- include <file>` in a script
 * stands for that file.
 */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { RedisClient } from "./cluster.ts";
import { BulkCommand } from "./bulk_command.ts";
import { redisErrorCode, throwStoreError } from "./errors.ts";
import whole from "./scripts/whole.lua" with { type: "text" };

/** What scripts may include. */
const INCLUDES: Readonly<Record<string, string>> = { "whole.lua": whole };

/** The text of a script as it is sent to Redis. @throws RangeError where it includes a file that is not there */
export function resolveIncludes(lua: string): string {
  return lua.replace(/^-- include (\S+)$/gm, (_, file: string) => {
    const text = Object.hasOwn(INCLUDES, file) ? INCLUDES[file] : undefined;
    if (text === undefined) throw new RangeError(`A script includes ${file}, which is not in src/redis/scripts.ts`);
    return text.trimEnd();
  });
}

/** A Lua script as imported text, and how many keys it names. */
export interface ScriptSource {
  /** Name under which the client registers it; unique. */
  readonly name: string;
  readonly keys: number;
  /** As in its file: includes are resolved when it is loaded. */
  readonly lua: string;
}

/** Calls a script: keys first, then arguments. Bulk replies come as `Buffer`. Rejects with a `StoreError`. */
export type Script = (...keysAndArguments: (string | number | Buffer)[]) => Promise<unknown>;

/** Registers a script with a connection. Safe to call again with the same source. */
export function loadScript(redis: RedisClient, { name, keys, lua }: ScriptSource): Script {
  redis.defineCommand(name, { numberOfKeys: keys, lua: resolveIncludes(lua) });
  const commands = redis as unknown as Record<string, Script>;
  return (...keysAndArguments) => commands[`${name}Buffer`]!.apply(redis, keysAndArguments).catch(throwStoreError);
}

/** A call of a script that takes many payloads behind its keys and arguments. */
export interface BulkCall {
  readonly keysAndArguments: readonly (string | number)[];
  readonly payloads: readonly Uint8Array[];
  /** It is not sent again, whatever the answer. */
  readonly onlyOnce?: boolean;
}

/** Calls such a script. Rejects with a `StoreError`. */
export type BulkScript = (call: BulkCall) => Promise<unknown>;

/** Like {@link loadScript}. The call is sent at once, before anything that is sent after it. */
export function loadBulkScript(redis: Redis, { keys, lua }: Omit<ScriptSource, "name">): BulkScript {
  const text = resolveIncludes(lua), digest = createHash("sha1").update(text).digest("hex");
  let isKnown = false;
  return async ({ keysAndArguments, payloads, onlyOnce = false }) => {
    const send = () => {
      const script = isKnown ? ["evalsha", digest] as const : ["eval", text] as const;
      isKnown = true;
      return redis.sendCommand(new BulkCommand(script[0], [script[1], keys, ...keysAndArguments], payloads));
    };
    try {
      return await send();
    } catch (error) {
      if (onlyOnce || redisErrorCode(error) !== "NOSCRIPT") throwStoreError(error);
    }
    isKnown = false;
    try {
      return await send();
    } catch (error) {
      throwStoreError(error);
    }
  };
}
