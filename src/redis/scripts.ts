/**
 * Loads a Lua script as a typed call: EVALSHA, then EVAL if the server does not know the script yet. A line `-- include <file>`
 * in a script or an include is replaced by that file.
 */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { RedisClient } from "./cluster.ts";
import { BulkCommand } from "./bulk_command.ts";
import { redisErrorCode, throwStoreError } from "./errors.ts";
import appendEntry from "./scripts/append_entry.lua" with { type: "text" };
import lookAhead from "./scripts/look_ahead.lua" with { type: "text" };
import stateFields from "./scripts/state_fields.lua" with { type: "text" };
import moveChecks from "./scripts/move_checks.lua" with { type: "text" };
import claim from "./scripts/claim.lua" with { type: "text" };
import commitChecks from "./scripts/commit_checks.lua" with { type: "text" };
import whole from "./scripts/whole.lua" with { type: "text" };

/** The files that scripts may include. */
const INCLUDES: Readonly<Record<string, string>> = {
  "append_entry.lua": appendEntry,
  "claim.lua": claim,
  "commit_checks.lua": commitChecks,
  "look_ahead.lua": lookAhead,
  "move_checks.lua": moveChecks,
  "state_fields.lua": stateFields,
  "whole.lua": whole,
};

/** Returns the text of a script as it is sent to Redis, without comments. @throws RangeError if it includes an unknown file */
export function scriptText(lua: string): string {
  return resolveIncludes(lua).replace(/^ *(?:--.*)?\n|^ +/gm, "");
}

function resolveIncludes(lua: string): string {
  return lua.replace(/^-- include (\S+)$/gm, (_, file: string) => {
    const text = Object.hasOwn(INCLUDES, file) ? INCLUDES[file] : undefined;
    if (text === undefined) {
      throw new RangeError(`A script includes ${file}, which is not in INCLUDES of src/redis/scripts.ts`);
    }
    return resolveIncludes(text).trimEnd();
  });
}

/** A Lua script as imported text, and its number of keys. */
export interface ScriptSource {
  /** Unique name; the client registers the script under it. */
  readonly name: string;
  readonly keys: number;
  /** Text of the file; includes are resolved when the script is loaded. */
  readonly lua: string;
}

/** Calls a script: keys first, then arguments. Bulk replies are `Buffer`s. Rejects with a `StoreError`. */
export type Script = (...keysAndArguments: (string | number | Buffer)[]) => Promise<unknown>;

/** Registers a script with a connection and returns its call. Safe to call again with the same source. */
export function loadScript(redis: RedisClient, { name, keys, lua }: ScriptSource): Script {
  redis.defineCommand(name, { numberOfKeys: keys, lua: scriptText(lua) });
  const commands = redis as unknown as Record<string, Script>;
  return (...keysAndArguments) => commands[`${name}Buffer`]!.apply(redis, keysAndArguments).catch(throwStoreError);
}

/** A call of a script with many payloads after its keys and arguments. */
export interface BulkCall {
  readonly keysAndArguments: readonly (string | number)[];
  readonly payloads?: readonly Uint8Array[];
  /** Never resend the call, not even after NOSCRIPT. */
  readonly onlyOnce?: boolean;
}

/** Calls a script with payloads. Rejects with a `StoreError`. */
export type BulkScript = (call: BulkCall) => Promise<unknown>;

/** Loads a script with payloads. A call writes to the connection synchronously, so later commands follow it. */
export function loadBulkScript(redis: Redis, { keys, lua }: Omit<ScriptSource, "name">): BulkScript {
  const text = scriptText(lua), digest = createHash("sha1").update(text).digest("hex");
  let isKnown = false;
  return async ({ keysAndArguments, payloads = [], onlyOnce = false }) => {
    const send = () => {
      const script = isKnown ? ["evalsha", digest] as const : ["eval", text] as const;
      isKnown = true;
      return redis.sendCommand(new BulkCommand(script[0], [script[1], keys, ...keysAndArguments], payloads));
    };
    try {
      return await send();
    } catch (error) {
      if (redisErrorCode(error) !== "NOSCRIPT") throwStoreError(error);
      isKnown = false;
      if (onlyOnce) throwStoreError(error);
    }
    try {
      return await send();
    } catch (error) {
      throwStoreError(error);
    }
  };
}
