/**
 * Loads a Lua script as a typed call: EVALSHA, then EVAL if the server does not know the script yet. A line `-- include <file>`
 * in a script or an include is replaced by that file.
 *
 * Scripts are written for lists that are pushed to the left. For a source whose lists are pushed to the right, `turned.lua` comes before
 * the script and turns its commands round: the other text is as it is written.
 */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { ownersOf, type RedisClient } from "./cluster.ts";
import type { Push } from "../message/source_policy.ts";
import { BulkCommand } from "./bulk_command.ts";
import { redisErrorCode, throwStoreError } from "./errors.ts";
import appendEntry from "./scripts/append_entry.lua" with { type: "text" };
import dropRecords from "./scripts/drop_records.lua" with { type: "text" };
import keepRecords from "./scripts/keep_records.lua" with { type: "text" };
import drillChecks from "./scripts/drill_checks.lua" with { type: "text" };
import lookAhead from "./scripts/look_ahead.lua" with { type: "text" };
import stateFields from "./scripts/state_fields.lua" with { type: "text" };
import moveMessage from "./scripts/move_message.lua" with { type: "text" };
import moveChecks from "./scripts/move_checks.lua" with { type: "text" };
import turned from "./scripts/turned.lua" with { type: "text" };
import claim from "./scripts/claim.lua" with { type: "text" };
import newestSlots from "./scripts/newest_slots.lua" with { type: "text" };
import commitChecks from "./scripts/commit_checks.lua" with { type: "text" };
import sampleDigest from "./scripts/sample_digest.lua" with { type: "text" };
import whole from "./scripts/whole.lua" with { type: "text" };

/** The files that scripts may include. */
const INCLUDES: Readonly<Record<string, string>> = {
  "append_entry.lua": appendEntry,
  "claim.lua": claim,
  "commit_checks.lua": commitChecks,
  "drill_checks.lua": drillChecks,
  "drop_records.lua": dropRecords,
  "keep_records.lua": keepRecords,
  "look_ahead.lua": lookAhead,
  "move_checks.lua": moveChecks,
  "move_message.lua": moveMessage,
  "newest_slots.lua": newestSlots,
  "sample_digest.lua": sampleDigest,
  "state_fields.lua": stateFields,
  "turned.lua": turned,
  "whole.lua": whole,
};

/**
 * Returns the text of a script as it is sent to Redis, without comments. `push`: how the source's lists are pushed; default: to the left,
 * as the script is written. @throws RangeError if it includes an unknown file
 */
export function scriptText(lua: string, push: Push = "LPUSH"): string {
  const whole = push === "LPUSH" ? lua : `-- include turned.lua\n${lua}`;
  return resolveIncludes(whole).replace(/^ *(?:--.*)?\n|^ +/gm, "");
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
  /** How the source's lists among the keys are pushed; default: `LPUSH`. */
  readonly push?: Push;
}

/** Calls a script: keys first, then arguments. Bulk replies are `Buffer`s. Rejects with a `StoreError`. */
export type Script = (...keysAndArguments: (string | number | Buffer)[]) => Promise<unknown>;

/** Registers a script with a connection and returns its call. Safe to call again with the same source. */
export function loadScript(redis: RedisClient, { name, keys, lua, push = "LPUSH" }: ScriptSource): Script {
  // Sources with the one and the other share connections.
  const command = push === "LPUSH" ? name : `${name}${push}`;
  redis.defineCommand(command, { numberOfKeys: keys, lua: scriptText(lua, push) });
  const commands = redis as unknown as Record<string, Script>;
  return (...keysAndArguments) => commands[`${command}Buffer`]!.apply(redis, keysAndArguments).catch(throwStoreError);
}

/**
 * Like {@link loadScript}, for a script that only reads: by EVAL_RO, so that a user that may only read keys may run it. Servers
 * before Redis 7.0 do not have it, and a user may have EVAL only: then by EVAL. The whole script is sent with each call.
 */
export function loadReadOnlyScript(redis: RedisClient, { keys, lua, push }: ScriptSource): Script {
  const text = scriptText(lua, push);
  let command = "eval_ro";
  const call = (name: string, given: Parameters<Script>) => {
    // The cluster client does not know where the keys of EVAL_RO are.
    const [owner] = ownersOf(redis, [String(given[0])]);
    return owner!.callBuffer(name, text, keys, ...given);
  };
  return async (...given) => {
    try {
      return await call(command, given);
    } catch (error) {
      const code = redisErrorCode(error);
      if (command === "eval" || (code !== "NOPERM" && code !== "OTHER")) throwStoreError(error);
      const reply = await call("eval", given).catch((other) =>
        throwStoreError(redisErrorCode(other) === "NOPERM" ? error : other)
      );
      command = "eval";
      return reply;
    }
  };
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
export function loadBulkScript(redis: Redis, { keys, lua, push }: Omit<ScriptSource, "name">): BulkScript {
  const text = scriptText(lua, push), digest = createHash("sha1").update(text).digest("hex");
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
