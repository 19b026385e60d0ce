/** Port 8086: metrics, and `/health` as in the original (`muttdev status` requests it there). */
import { METRICS_CONTENT_TYPE } from "../observability/metrics.ts";
import type { Handler } from "../http/door.ts";
import { type Pages, route, textReply } from "./pages.ts";

/** Renders the metrics. */
export interface MetricsSource {
  render(): Promise<string>;
}

/** Creates the handler for `/metrics` and `/health`. */
export function createMetricsHandler(metrics: MetricsSource): Handler {
  const pages = metricsPages(metrics);
  return (request) => route(pages, request);
}

function metricsPages(metrics: MetricsSource): Pages {
  return {
    "/metrics": {
      summary: "metrics as Prometheus text",
      // Ignores Accept: see src/observability/metrics.ts.
      answer: async () => ({ status: 200, contentType: METRICS_CONTENT_TYPE, body: await metrics.render() }),
    },
    "/health": { summary: "OK if the process responds", answer: () => textReply("OK") },
  };
}
