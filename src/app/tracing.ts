/** Starts tracing where the settings want it; where they do not, nothing of it is loaded. */
import type { Settings } from "../config/fields.ts";
import { parsePairs } from "../config/pairs.ts";
import { createProxyChoice } from "../config/proxy.ts";
import { Secret } from "../runtime/secret.ts";
import { sampledShare, spanTarget, wantsSpans } from "../config/tracing.ts";
import type { Log } from "../observability/log.ts";
import { NO_TRACER, type SpanAttributes, type Tracer } from "../observability/tracing.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { VERSION } from "./version.ts";

/** The tracer that the settings ask for. What cannot be traced, and why, is among the configuration's warnings. */
export async function startTracing(settings: Settings, { log, clock }: { log: Log; clock: Clock }): Promise<Tracer> {
  const target = spanTarget(settings);
  if (!wantsSpans(settings) || !target.ok) return NO_TRACER;
  const { OtelTracer } = await import("./otel_tracer.ts");
  const { url, encoding } = target;
  log.info("tracing", `Remediation: spans are sent to ${url.host}`, { host: url.host, encoding });
  const { otelTimeoutMs, otelExportTimeoutMs } = settings;
  return new OtelTracer({
    ...{ url, encoding, clock, log: log.child("tracing"), version: VERSION, errorType: redisErrorCode },
    proxy: createProxyChoice(settings)(url)?.url,
    headers: readHeaders(settings),
    timeoutMs: Math.min(otelTimeoutMs, otelExportTimeoutMs),
    resource: describeService(settings),
    sampledShare: sampledShare(settings),
    scheduleDelayMs: settings.otelScheduleDelayMs,
    maxQueueSize: settings.otelMaxQueueSize,
    maxBatchSize: settings.otelMaxBatchSize,
  });
}

function readHeaders({ otelHeaders }: Settings): Record<string, Secret> {
  const headers = parsePairs(otelHeaders?.reveal() ?? "") ?? [];
  return Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), new Secret(value)]));
}

/** MUTT's four (contract §5), the environment also by the name that it has by now. What the operator says wins. */
function describeService(settings: Settings): SpanAttributes {
  const { otelServiceName, otelResourceAttributes, deploymentEnvironment, podName } = settings;
  return {
    "service.name": "remediation",
    "service.version": VERSION,
    "service.instance.id": podName,
    "deployment.environment": deploymentEnvironment,
    "deployment.environment.name": deploymentEnvironment,
    ...Object.fromEntries(parsePairs(otelResourceAttributes) ?? []),
    ...(otelServiceName === "" ? {} : { "service.name": otelServiceName }),
  };
}
