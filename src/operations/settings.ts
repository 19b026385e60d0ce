/** Operation `settings`: the settings and sources in force in the running service. Secrets are redacted. Does no IO. */
import { BRAKE_REASON_TEXTS, BRAKE_REASONS, BRAKE_STATES, type BrakeReason, type BrakeState } from "../cycle/brake.ts";
import { stateOf } from "../cycle/plan_cycle.ts";
import { MUTT_SHARED_FIELDS, type MuttSharedSettings } from "../mutt/dynamic_keys.ts";
import {
  type DescribedSetting,
  type DescribedSource,
  describeSettings,
  describeSource,
  SETTING_SCHEMA,
  SOURCE_MEMBERS,
} from "./config.ts";
import type { RunningSource, ServiceContext, SettingsInForce } from "./context.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { COUNT, listOf, NUMBER_OR_NULL, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";

/** A setting that MUTT's services share through a key in Redis. */
export interface SharedSetting {
  /** Without the prefix `mutt:config:`. */
  readonly key: string;
  /** `null`: the key is not set. */
  readonly value: string | null;
  readonly unit: string;
  readonly description: string;
}

/** A source as it runs. */
export interface SourceInForce extends DescribedSource {
  /** `null`: the source has not been read yet. */
  readonly brake: {
    readonly state: BrakeState;
    readonly reason: BrakeReason;
    /** The reason in words. */
    readonly words: string;
    /** Maximum messages of a cycle; `null`: the brake limits nothing. */
    readonly allowance: number | null;
  } | null;
  readonly pace: {
    readonly intervalSeconds: number;
    /** Maximum messages of a cycle; 0: no limit. */
    readonly batchSize: number;
    /** `null`: no limit, or not known. */
    readonly mostPerSecond: number | null;
  };
}

/** Output of the operation. */
export interface SettingsReport {
  /** Path of the `.env` that was read; empty if none. */
  readonly dotEnvPath: string;
  readonly settings: readonly DescribedSetting[];
  readonly shared: readonly SharedSetting[];
  readonly sources: readonly SourceInForce[];
  readonly warnings: readonly string[];
}

const BRAKE: JsonSchema = objectOf({
  ...{ state: oneOf(BRAKE_STATES), reason: oneOf(BRAKE_REASONS), words: TEXT },
  allowance: { type: ["integer", "null"], minimum: 1 },
});

const OUTPUT: JsonSchema = objectOf({
  dotEnvPath: TEXT,
  settings: listOf(SETTING_SCHEMA),
  shared: listOf(objectOf({ key: TEXT, value: TEXT_OR_NULL, unit: TEXT, description: TEXT })),
  sources: listOf(objectOf({
    ...SOURCE_MEMBERS,
    brake: { anyOf: [{ type: "null" }, BRAKE] },
    pace: objectOf({ intervalSeconds: { type: "number" }, batchSize: COUNT, mostPerSecond: NUMBER_OR_NULL }),
  })),
  warnings: listOf(TEXT),
});

/** Reports every setting with its value, default and origin, and the sources as they run. */
export const settings = {
  name: "settings",
  summary: "Every setting in force with its default and origin, and the sources as they run; secrets are redacted",
  runsIn: "service",
  role: "viewer",
  input: objectOf({}),
  output: OUTPUT,
  http: { method: "GET", path: "/settings" },
  run({ inForce, sources }: Pick<ServiceContext, "inForce" | "sources">): SettingsReport {
    const now = inForce(), { dotEnvPath, warnings, overridden, fromVault, shared } = now;
    return {
      dotEnvPath,
      settings: describeSettings(now, { vault: { targets: fromVault, words: "Vault" }, overridden }),
      shared: describeShared(shared),
      sources: sources().map((source) => describeRunning(source, now)),
      warnings,
    };
  },
} satisfies Operation<ServiceContext, Record<never, never>, SettingsReport>;

function describeShared(shared: MuttSharedSettings): SharedSetting[] {
  return (Object.keys(MUTT_SHARED_FIELDS) as (keyof MuttSharedSettings)[]).map((name) => {
    const { key, type, doc } = MUTT_SHARED_FIELDS[name], value = shared[name];
    const text = value === null ? null : type.format?.(value) ?? String(value);
    return { key, value: text, unit: type.unit ?? "", description: doc };
  });
}

function describeRunning(
  { parts: { setup, replay, flow } }: RunningSource,
  { sourcesFile }: SettingsInForce,
): SourceInForce {
  const record = replay.lastSnapshot()?.record, { intervalMs, batchSize, mostPerSecond } = flow();
  return {
    ...describeSource(setup, sourcesFile),
    brake: record
      ? {
        state: stateOf(record),
        reason: record.brake.reason,
        words: BRAKE_REASON_TEXTS[record.brake.reason],
        allowance: record.brake.allowance,
      }
      : null,
    pace: { intervalSeconds: intervalMs / 1_000, batchSize, mostPerSecond },
  };
}
