/** What the settings say about tracing: whether, where to, and what of the standard is not supported. Pure. */
import { FIELDS, type SettingKey, type Settings } from "./fields.ts";
import { looksSecret, quote } from "./redact.ts";

/** Where spans go, or why they cannot and what to set instead. */
export type SpanTarget =
  | { readonly ok: true; readonly url: URL; readonly encoding: "protobuf" | "json" }
  | { readonly ok: false; readonly problem: string };

/** The ports that OTLP has by its standard. */
const GRPC_PORT = "4317", HTTP_PORT = "4318";

/** The settings that {@link spanTarget} looks at. */
export const TARGET_SETTINGS = [
  "otelEnabled",
  "otelSdkDisabled",
  "otelExporter",
  "otelEndpoint",
  "otelTracesEndpoint",
  "otelProtocol",
] as const satisfies readonly SettingKey[];

/** Whether spans are wanted at all. */
export function wantsSpans({ otelEnabled, otelSdkDisabled, otelExporter }: Settings): boolean {
  return otelEnabled && !otelSdkDisabled && otelExporter !== "none";
}

/** Share of the traces that are recorded, 0 to 1. Every trace begins here, so `parentbased_` makes no difference. */
export function sampledShare({ otelSampler, otelSamplerShare }: Settings): number {
  if (otelSampler.endsWith("always_on")) return 1;
  return otelSampler.endsWith("always_off") ? 0 : otelSamplerShare;
}

/** Where spans go. A port 4317 means gRPC, unless the protocol is set and is another one. */
export function spanTarget({ otelEndpoint, otelTracesEndpoint, otelProtocol }: Settings): SpanTarget {
  const isWhole = otelTracesEndpoint !== "";
  const text = isWhole ? otelTracesEndpoint : otelEndpoint;
  const variable = isWhole ? FIELDS.otelTracesEndpoint.variable : FIELDS.otelEndpoint.variable;
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : null;
  if (otelProtocol === "grpc" || url === null || (url.port === GRPC_PORT && otelProtocol === null)) {
    return { ok: false, problem: sayGrpc({ variable, text, isWhole, isGrpc: otelProtocol === "grpc" }) };
  }
  if (!isWhole) url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/traces`;
  return { ok: true, url, encoding: otelProtocol === "http/json" ? "json" : "protobuf" };
}

function sayGrpc(
  { variable, text, isWhole, isGrpc }: { variable: string; text: string; isWhole: boolean; isGrpc: boolean },
): string {
  const instead = `${variable}=${suggestUrl(text)}${isWhole ? "/v1/traces" : ""}`;
  const protocol = `${FIELDS.otelProtocol.aliases[0]}=http/protobuf`;
  const why = isGrpc
    ? `${FIELDS.otelProtocol.aliases[0]} is grpc, but spans are sent over HTTP only`
    : `${variable} ${quote(text)} is ${
      /^https?:/i.test(text) ? "the port for gRPC" : "no http:// or https:// URL"
    }, but spans are sent over HTTP only`;
  return `Nothing is traced: ${why}. Set ${instead}${isGrpc ? ` and ${protocol}` : ""}` +
    `${/^https?:/i.test(text) && !isGrpc ? ` (or, where HTTP is spoken on that port, ${protocol})` : ""}`;
}

/** The same host on the port for HTTP. Only a host that is surely one is repeated. */
function suggestUrl(text: string): string {
  const [, scheme, host] =
    /^(?:([a-z]+):\/\/)?(?:[^@/]*@)?([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?(?:[/?#]|$)/i.exec(text) ??
      [];
  const known = host === undefined || looksSecret(host) ? "COLLECTOR" : host;
  return `${scheme?.toLowerCase() === "https" ? "https" : "http"}://${known}:${HTTP_PORT}`;
}

/** Parts of the standard that would change what is sent, and are not supported. */
const UNSUPPORTED = [
  /^OTEL_EXPORTER_OTLP_(TRACES_)?(COMPRESSION|CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)$/,
  /^OTEL_PROPAGATORS$/,
  /^OTEL_CONFIG_FILE$/,
];

/** Warns of variables of the standard that are set in vain. */
export function warnOfUnsupported(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => UNSUPPORTED.some((one) => one.test(name))).map((name) =>
    `${name} is not supported and is ignored (docs/tracing.md)`
  );
}
