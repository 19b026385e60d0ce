/** Port 8086: the metrics, and `/health` as the original answered it there (`muttdev status` asks it). */
import { METRICS_CONTENT_TYPE } from "../observability/metrics.ts";
import type { Handler } from "../http/door.ts";
import { type Pages, route, textReply } from "./pages.ts";

/** What renders the metrics. */
export interface MetricsSource {
  render(): Promise<string>;
}

/** Answers `/metrics` and `/health`. */
export function createMetricsHandler(metrics: MetricsSource): Handler {
  const pages = metricsPages(metrics);
  return (request) => route(pages, request);
}

function metricsPages(metrics: MetricsSource): Pages {
  return {
    "/metrics": {
      summary: "metrics, as Prometheus text",
      // Whatever Accept says: see src/observability/metrics.ts.
      answer: async () => ({ status: 200, contentType: METRICS_CONTENT_TYPE, body: await metrics.render() }),
    },
    "/health": { summary: "OK while this process answers", answer: () => textReply("OK") },
  };
}
