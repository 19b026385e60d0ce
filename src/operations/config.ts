/** Operation `config`: the effective settings with their origins, and the sources. Secrets are redacted. */
import { type Group, GROUPS } from "../config/field.ts";
import { FIELDS, SETTING_KEYS, type SettingKey } from "../config/fields.ts";
import { type Loaded, showValue } from "../config/load.ts";
import { redactCredentials } from "../config/redact.ts";
import { isBuiltIn } from "../config/sources.ts";
import { type VaultTarget, vaultTargets } from "../config/vault.ts";
import { GATE_NAMES, type GateName } from "../gates/gate.ts";
import type { ReplayWindow } from "../config/window.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import {
  type MessageDisplay,
  PUSHES,
  RECORD_PLACES,
  type RecordPlace,
  type SourcePolicy,
} from "../message/source_policy.ts";
import { createSources } from "../mutt/built_in_sources.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { listOf, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";

/** Context of the operation: valid settings. */
export type ConfigContext = Pick<
  Extract<Loaded, { ok: true }>,
  "settings" | "sourcesFile" | "origins" | "dotEnvPath" | "warnings"
>;

/** An effective setting. */
export interface DescribedSetting {
  readonly variable: string;
  /** As text; empty if not set. */
  readonly value: string;
  /** `default`, the layer and variable it was read from, `dynamic key`, or Vault. */
  readonly origin: string;
  readonly dynamicKey: string | null;
  /** As text; empty if there is none. */
  readonly default: string;
  /** Of a number, or empty. */
  readonly unit: string;
  readonly group: Group;
  readonly description: string;
}

/** An enabled source. If a member is `null`, the variables decide. */
export interface DescribedSource extends Omit<SourcePolicy, "beside">, MessageDisplay {
  readonly unwrap: string | null;
  readonly record: RecordPlace;
  /** `null`: a message is named by its digest, or stamped inside. */
  readonly recordId: string | null;
  /** In hours; `null`: messages are stamped inside. */
  readonly recordFor: number | null;
  readonly gates: readonly GateName[];
  readonly maxReplays: number | null;
  readonly maxPerSecond: SourceDefinition["maxPerSecond"];
  readonly targetMaxDepth: number | null;
  readonly healthUrl: string;
  /** Its windows: those of all sources, then its own. */
  readonly windows: readonly ReplayWindow[];
  readonly origin: string;
}

/** The output of `config --json`. */
export interface ConfigReport {
  /** Path of the `.env` that was read; empty if none. */
  readonly dotEnvPath: string;
  readonly settings: readonly DescribedSetting[];
  readonly sources: readonly DescribedSource[];
  readonly warnings: readonly string[];
}

const WHOLE_OR_NULL: JsonSchema = { type: ["integer", "null"] };

/** Schema of a {@link DescribedSetting}. */
export const SETTING_SCHEMA: JsonSchema = objectOf({
  ...{ variable: TEXT, value: TEXT, origin: TEXT, dynamicKey: TEXT_OR_NULL },
  ...{ default: TEXT, unit: TEXT, group: oneOf(GROUPS), description: TEXT },
});

/** Schemas of the members of a {@link DescribedSource}. */
export const SOURCE_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  ...{ name: TEXT, push: oneOf(PUSHES), dlq: TEXT, target: TEXT, dead: TEXT },
  ...{ counter: TEXT_OR_NULL, unwrap: TEXT_OR_NULL },
  ...{ show: listOf(TEXT), groupBy: listOf(TEXT), secret: listOf(TEXT) },
  ...{ cutOnReplay: listOf(TEXT), required: listOf(TEXT), gates: listOf(oneOf(GATE_NAMES)) },
  ...{ record: oneOf(RECORD_PLACES), recordId: TEXT_OR_NULL, recordFor: WHOLE_OR_NULL },
  maxReplays: WHOLE_OR_NULL,
  maxPerSecond: { anyOf: [oneOf(["auto", null]), { type: "number" }] },
  targetMaxDepth: WHOLE_OR_NULL,
  ...{ healthUrl: TEXT, origin: TEXT },
  windows: listOf(objectOf({ from: TEXT, to: TEXT, reason: TEXT, timeZone: TEXT, replay: oneOf(["never", "only"]) })),
};

/** Reports every setting with its origin, and the sources. Does no IO. */
export const config = {
  name: "config",
  summary: "Every setting with its value and origin, and the sources; secrets are redacted",
  runsIn: "command",
  role: "viewer",
  input: objectOf({}),
  output: objectOf({
    dotEnvPath: TEXT,
    settings: listOf(SETTING_SCHEMA),
    sources: listOf(objectOf(SOURCE_MEMBERS)),
    warnings: listOf(TEXT),
  }),
  run(loaded: ConfigContext): ConfigReport {
    const { dotEnvPath, warnings, settings, sourcesFile } = loaded;
    const sources = createSources(settings, sourcesFile).map((setup) => describeSource(setup, sourcesFile));
    const vault = { targets: vaultTargets(settings), words: "Vault, asked at the start" };
    return { dotEnvPath, settings: describeSettings(loaded, { vault }), sources, warnings };
  },
} satisfies Operation<ConfigContext, Record<never, never>, ConfigReport>;

/** Describes a source: its definition as it runs. */
export function describeSource(
  { policy: { beside, ...policy }, display, gates, maxReplays, maxPerSecond, depthLimit, healthUrl, windows }:
    SourceDefinition,
  sourcesFile: ConfigContext["sourcesFile"],
): DescribedSource {
  return {
    ...policy,
    unwrap: policy.unwrap ?? null,
    record: beside ? "beside" : "inside",
    ...{ recordId: beside?.idMember ?? null, recordFor: beside ? beside.keepMs / 3_600_000 : null },
    ...display,
    gates,
    ...{ maxReplays, maxPerSecond, targetMaxDepth: depthLimit.fixed, healthUrl: redactCredentials(healthUrl) },
    windows,
    origin: isBuiltIn(policy.name)
      ? sourcesFile.sources.has(policy.name) ? "built in, sources file" : "built in"
      : "sources file",
  };
}

/** Describes every setting. `vault`: those that come from there, and how to say so. `overridden`: those of a dynamic key. */
export function describeSettings(
  { settings, origins }: Pick<ConfigContext, "settings" | "origins">,
  { vault, overridden }: {
    vault: { readonly targets: readonly VaultTarget[]; readonly words: string };
    overridden?: ReadonlySet<SettingKey>;
  },
): DescribedSetting[] {
  const fromVault: ReadonlySet<string> = new Set(vault.targets);
  return SETTING_KEYS.map((key) => {
    const { variable, dynamicKey, defaultText, unit, group, doc } = FIELDS[key];
    const { layer, variable: used } = origins[key];
    const unset = fromVault.has(key) ? vault.words : layer;
    const found = layer === "default" ? unset : used === variable ? layer : `${layer}, ${used}`;
    const origin = overridden?.has(key) ? "dynamic key" : found;
    return {
      ...{ variable, value: showValue(settings, key), origin, dynamicKey },
      ...{ default: defaultText ?? "", unit, group, description: doc },
    };
  });
}
