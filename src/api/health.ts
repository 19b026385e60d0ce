/** Port 8087: whether the service lives and is ready, as text for probes and as JSON for people; and its objectives. */
import { type CheckName, composeStatus, type HealthState } from "../operations/status.ts";
import type { SloReport } from "../slo/monitor.ts";
import type { Handler } from "../http/door.ts";
import { jsonReply, type PageRequest, type Pages, type Reply, route, textReply, wantsJson } from "./pages.ts";

/** What {@link createHealthHandler} needs. */
export interface HealthOptions {
  readonly health: () => HealthState;
  readonly slo: () => SloReport;
  readonly version: string;
  readonly podName: string;
}

/** Answers `/health`, `/livez`, `/readyz` and `/api/v1/slo`. */
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
    "/health": page("OK while live and ready; JSON by Accept: application/json", ["live", "ready"]),
    "/livez": page("whether the loop turns", ["live"]),
    "/readyz": page("whether Redis is reachable, the configuration good, and no stop under way", ["ready"]),
    "/api/v1/slo": {
      summary: "where the service level objectives stand, as JSON",
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
