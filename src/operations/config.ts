/** Operation `config`: the settings as they are and where each comes from, and the sources. Secrets are not shown. */
import { FIELDS, SETTING_KEYS } from "../config/fields.ts";
import { type Loaded, showValue } from "../config/load.ts";
import { redactCredentials } from "../config/redact.ts";
import { isBuiltIn } from "../config/sources_file.ts";
import { vaultTargets } from "../config/vault.ts";
import { GATE_NAMES, type GateName } from "../gates/gate.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import { createSources } from "../mutt/built_in_sources.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { listOf, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";

/** What the operation is handed: settings that are good. */
export type ConfigContext = Pick<
  Extract<Loaded, { ok: true }>,
  "settings" | "sourcesFile" | "origins" | "dotEnvPath" | "warnings"
>;

/** A setting as it is. */
export interface DescribedSetting {
  readonly variable: string;
  /** As text; empty: not set. */
  readonly value: string;
  /** `default`, the layer and the variable that was read, or Vault, which this operation does not ask. */
  readonly origin: string;
  readonly dynamicKey: string | null;
}

/** A source that is switched on. What is `null` here is left to the variables. */
export interface DescribedSource extends SourcePolicy {
  readonly gates: readonly GateName[];
  readonly maxReplays: number | null;
  readonly maxPerSecond: SourceDefinition["maxPerSecond"];
  readonly targetMaxDepth: number | null;
  readonly healthUrl: string;
  readonly origin: string;
}

/** The configuration, as `config --json` prints it. */
export interface ConfigReport {
  /** The `.env` that was read; empty: none. */
  readonly dotEnvPath: string;
  readonly settings: readonly DescribedSetting[];
  readonly sources: readonly DescribedSource[];
  readonly warnings: readonly string[];
}

const WHOLE_OR_NULL: JsonSchema = { type: ["integer", "null"] };

const SOURCE_SCHEMA: JsonSchema = objectOf({
  ...{ name: TEXT, dlq: TEXT, target: TEXT, dead: TEXT, counter: TEXT_OR_NULL },
  ...{ cutOnReplay: listOf(TEXT), required: listOf(TEXT), gates: listOf(oneOf(GATE_NAMES)) },
  maxReplays: WHOLE_OR_NULL,
  maxPerSecond: { anyOf: [oneOf(["auto", null]), { type: "number" }] },
  targetMaxDepth: WHOLE_OR_NULL,
  ...{ healthUrl: TEXT, origin: TEXT },
});

/** The operation. */
export const config = {
  name: "config",
  summary: "Every setting, its value and where it comes from, and the sources; secrets are not shown",
  runsIn: "command",
  role: "viewer",
  input: objectOf({}),
  output: objectOf({
    dotEnvPath: TEXT,
    settings: listOf(objectOf({ variable: TEXT, value: TEXT, origin: TEXT, dynamicKey: TEXT_OR_NULL })),
    sources: listOf(SOURCE_SCHEMA),
    warnings: listOf(TEXT),
  }),
  run(loaded: ConfigContext): ConfigReport {
    const { dotEnvPath, warnings } = loaded;
    return { dotEnvPath, settings: describeSettings(loaded), sources: describeSources(loaded), warnings };
  },
} satisfies Operation<ConfigContext, Record<never, never>, ConfigReport>;

function describeSources({ settings, sourcesFile }: ConfigContext): DescribedSource[] {
  return createSources(settings, sourcesFile).map((
    { policy, gates, maxReplays, maxPerSecond, depthLimit, healthUrl },
  ) => ({
    ...policy,
    gates,
    // What is null here is left to the variables.
    ...{ maxReplays, maxPerSecond, targetMaxDepth: depthLimit.fixed, healthUrl: redactCredentials(healthUrl) },
    origin: isBuiltIn(policy.name)
      ? sourcesFile.has(policy.name) ? "built in, sources file" : "built in"
      : "sources file",
  }));
}

function describeSettings({ settings, origins }: ConfigContext): DescribedSetting[] {
  const fromVault: ReadonlySet<string> = new Set(vaultTargets(settings));
  return SETTING_KEYS.map((key) => {
    const { variable, dynamicKey } = FIELDS[key];
    const { layer, variable: used } = origins[key];
    const unset = fromVault.has(key) ? "Vault, asked at the start" : layer;
    const origin = layer === "default" ? unset : used === variable ? layer : `${layer}, ${used}`;
    return { variable, value: showValue(settings, key), origin, dynamicKey };
  });
}
