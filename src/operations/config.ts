/** Operation `config`: the effective settings with their origins, and the sources. Secrets are redacted. */
import { FIELDS, SETTING_KEYS } from "../config/fields.ts";
import { type Loaded, showValue } from "../config/load.ts";
import { redactCredentials } from "../config/redact.ts";
import { isBuiltIn } from "../config/sources.ts";
import { vaultTargets } from "../config/vault.ts";
import { GATE_NAMES, type GateName } from "../gates/gate.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { MessageDisplay, SourcePolicy } from "../message/source_policy.ts";
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
  /** `default`, the layer and variable it was read from, or Vault, which this operation does not query. */
  readonly origin: string;
  readonly dynamicKey: string | null;
}

/** An enabled source. If a member is `null`, the variables decide. */
export interface DescribedSource extends SourcePolicy, MessageDisplay {
  readonly gates: readonly GateName[];
  readonly maxReplays: number | null;
  readonly maxPerSecond: SourceDefinition["maxPerSecond"];
  readonly targetMaxDepth: number | null;
  readonly healthUrl: string;
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

const SOURCE_SCHEMA: JsonSchema = objectOf({
  ...{ name: TEXT, dlq: TEXT, target: TEXT, dead: TEXT, counter: TEXT_OR_NULL },
  ...{ show: listOf(TEXT), groupBy: listOf(TEXT), secret: listOf(TEXT) },
  ...{ cutOnReplay: listOf(TEXT), required: listOf(TEXT), gates: listOf(oneOf(GATE_NAMES)) },
  maxReplays: WHOLE_OR_NULL,
  maxPerSecond: { anyOf: [oneOf(["auto", null]), { type: "number" }] },
  targetMaxDepth: WHOLE_OR_NULL,
  ...{ healthUrl: TEXT, origin: TEXT },
});

/** Reports every setting with its origin, and the sources. Does no IO. */
export const config = {
  name: "config",
  summary: "Every setting with its value and origin, and the sources; secrets are redacted",
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
    { policy, display, gates, maxReplays, maxPerSecond, depthLimit, healthUrl },
  ) => ({
    ...policy,
    ...display,
    gates,
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
