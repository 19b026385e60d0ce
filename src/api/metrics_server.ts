/** Port 8086: the metrics, and `/health` as the original answered it there (`muttdev status` asks it). */
import { METRICS_CONTENT_TYPE } from "../observability/metrics.ts";
import { type Listener, type ListenerOptions, startListener } from "../http/listener.ts";
import { type Pages, textReply } from "../http/reply.ts";

/** What {@link startMetricsServer} needs. */
export interface MetricsServerOptions extends Omit<ListenerOptions, "pages" | "portVariable"> {
  readonly metrics: { render(): Promise<string> };
}

/** Serves `/metrics` and `/health`. @throws {ListenError} where the port cannot be listened on. */
export function startMetricsServer(options: MetricsServerOptions): Listener {
  return startListener({
    ...options,
    portVariable: "METRICS_PORT_REMEDIATION",
    pages: metricsPages(options.metrics),
  });
}

function metricsPages(metrics: MetricsServerOptions["metrics"]): Pages {
  return {
    "/metrics": {
      summary: "metrics, as Prometheus text",
      // Whatever Accept says: see src/observability/metrics.ts.
      answer: async () => ({ status: 200, contentType: METRICS_CONTENT_TYPE, body: await metrics.render() }),
    },
    "/health": { summary: "OK while this process answers", answer: () => textReply("OK") },
  };
}
