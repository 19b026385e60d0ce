/** Port 8087: liveness and readiness, as text for probes and JSON for people, and the service level objectives. */
import { type CheckName, composeStatus, type HealthState } from "../operations/status.ts";
import type { SloReport } from "../slo/monitor.ts";
import type { Handler } from "../http/door.ts";
import { jsonReply, type PageRequest, type Pages, type Reply, route, textReply, wantsJson } from "./pages.ts";

/** Options of {@link createHealthHandler}. */
export interface HealthOptions {
  readonly health: () => HealthState;
  readonly slo: () => SloReport;
  readonly version: string;
  readonly podName: string;
}

/** Creates the handler for `/health`, `/livez`, `/readyz` and `/api/v1/slo`. */
export function createHealthHandler(options: HealthOptions): Handler {
  const pages = healthPages(options);
  return (request) => route(pages, request);
}

function healthPages(options: HealthOptions): Pages {
  const page = (summary: string, checks: readonly CheckName[]) => ({
    summary,
    answer: (request: PageRequest) => answerHealth(request, { options, checks }),
  });
  return {
    "/health": page("OK if live and ready; JSON with Accept: application/json", ["live", "ready"]),
    "/livez": page("OK if the main loop is running", ["live"]),
    "/readyz": page("OK if Redis is reachable, the configuration is valid and the service is not stopping", ["ready"]),
    "/api/v1/slo": {
      summary: "state of the service level objectives, as JSON",
      answer: () => jsonReply(options.slo()),
    },
  };
}

function answerHealth(
  request: PageRequest,
  { options, checks }: { options: HealthOptions; checks: readonly CheckName[] },
): Reply {
  const document = composeStatus(options.health(), { ...options, checks });
  const { errors = [] } = document, status = errors.length === 0 ? 200 : 503;
  if (!wantsJson(request)) return { ...textReply(status === 200 ? "OK" : errors.join(", "), status), headers: VARY };
  return { ...jsonReply(document, status), headers: VARY };
}

const VARY = { vary: "accept" };
