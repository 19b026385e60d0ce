/** Port 8087: whether the service lives and is ready, as text for probes and as JSON for people; and its objectives. */
import type { SloReport } from "../slo/monitor.ts";
import type { Handler } from "../http/door.ts";
import { jsonReply, type PageRequest, type Pages, type Reply, route, textReply, wantsJson } from "./pages.ts";

/** One question's answer; `reason` is what `/health` says while it is not `ok`. */
export interface HealthCheck {
  readonly ok: boolean;
  readonly reason: string;
}

/** The service's state, as far as probes care. */
export interface HealthState {
  /** The loop turns. Never fails for Redis, Moogsoft or a closed gate: a restart would not help. */
  readonly live: HealthCheck;
  /** Redis is reachable, the configuration good, and the service not stopping. */
  readonly ready: HealthCheck;
  /** Further members of the JSON, e.g. `redis: "connected"`; they cannot replace its own. */
  readonly details: Readonly<Record<string, unknown>>;
}

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

type CheckName = "live" | "ready";

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
  const state = options.health();
  const errors = checks.filter((name) => !state[name].ok).map((name) => state[name].reason);
  const status = errors.length === 0 ? 200 : 503;
  if (!wantsJson(request)) return { ...textReply(status === 200 ? "OK" : errors.join(", "), status), headers: VARY };
  const members = {
    status: errors.length === 0 ? "healthy" : "unhealthy",
    service: "mutt-remediation",
    version: options.version,
    pod: options.podName,
    checks: Object.fromEntries(checks.map((name) => [name, state[name].ok ? "ok" : state[name].reason])),
    ...(errors.length === 0 ? {} : { errors }),
  };
  // Named twice on purpose: ours come first to read, and win.
  return { ...jsonReply({ ...members, ...state.details, ...members }, status), headers: VARY };
}

const VARY = { vary: "accept" };
