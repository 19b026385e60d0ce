/** Operation `status`: liveness and readiness of the service, and the state of each source and gate. Does no IO. */
import { whyMoogsoftIsNotAsked } from "../config/rules.ts";
import { needsMoogsoft } from "../mutt/built_in_sources.ts";
import { GATE_NAMES, type GateName } from "../gates/gate.ts";
import type { Role } from "../gates/leader.ts";
import type { OldestMessage } from "../replay/depth_watch.ts";
import type { SourceReplay } from "../replay/source_replay.ts";
import { toIso } from "../runtime/clock.ts";
import type { RunningSource, ServiceContext } from "./context.ts";
import { explainSource, readFacts } from "./explain_source.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { FLAG, INSTANT_OR_NULL, listOf, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";

/** If a source cannot commit for this long, the service is not ready, in milliseconds. */
const NO_COMMIT_MS = 15_000;

/** The checks that probes can request. */
export const CHECK_NAMES = ["live", "ready"] as const;
/** One of {@link CHECK_NAMES}. */
export type CheckName = (typeof CHECK_NAMES)[number];

/** Result of one check; `/health` shows `reason` while it is not `ok`. */
export interface HealthCheck {
  readonly ok: boolean;
  readonly reason: string;
}

/** The service's state as probes see it. */
export interface HealthState<Details extends object = Readonly<Record<string, unknown>>> {
  /** The loop runs. Never fails because of Redis, Moogsoft or a closed gate: a restart would not help. */
  readonly live: HealthCheck;
  /** Redis is reachable, the configuration is valid, and the service is not stopping. */
  readonly ready: HealthCheck;
  /** Further members of the JSON, e.g. `redis: "connected"`. They cannot replace those of {@link StatusHead}. */
  readonly details: Details;
}

/** The first members of the health document. */
export interface StatusHead {
  readonly status: "healthy" | "unhealthy";
  readonly service: "mutt-remediation";
  readonly version: string;
  readonly pod: string;
  /** `ok` or the reason why not, for each requested check. */
  readonly checks: Readonly<Partial<Record<CheckName, string>>>;
  /** Set only if a check is not `ok`. */
  readonly errors?: readonly string[];
}

/** A gate's last answer. Instants are ISO 8601. */
export interface GateState {
  readonly name: GateName;
  readonly open: boolean;
  readonly reason: string;
  /** One sentence. */
  readonly detail: string;
  /** When it last opened or closed. */
  readonly since: string;
  /** When the answer may change next; `null` if not known. */
  readonly next: string | null;
}

/** The oldest dead letter of a source: when it was first seen here, and its own timestamp. */
export interface OldestState {
  readonly waitingSince: string | null;
  readonly eventTime: string | null;
}

/** State of one source. Instants are ISO 8601. */
export interface SourceState {
  readonly name: string;
  readonly dlq: string;
  /** The role of this instance. */
  readonly role: Role;
  /** The leading instance; `null` if not known. */
  readonly leader: string | null;
  /** Messages in the DLQ at the last read; `null` before the first. */
  readonly depth: number | null;
  /** `null` if the DLQ is empty or not measured yet. */
  readonly oldest: OldestState | null;
  /** When the last cycle began, by Redis' clock; `null` if not known. */
  readonly lastCycle: string | null;
  /** When the next cycle is due; `null` if not known. */
  readonly nextCycle: string | null;
  /** What it does and why, in one sentence. */
  readonly explanation: string;
  readonly gates: readonly GateState[];
}

/** The remaining members of the health document. */
export interface StatusDetails {
  readonly redis: "connected" | "disconnected";
  readonly replay: "on" | "off";
  /** `asked`, or the reason why Moogsoft is not probed. */
  readonly moogsoft: string;
  /** Result of the last Vault request, or `not asked`. */
  readonly vault: string;
  readonly sources: readonly SourceState[];
}

/** The health document of `/health` and `health --json`. */
export type Status = StatusHead & StatusDetails;

const SOURCE_SCHEMA: JsonSchema = objectOf({
  name: TEXT,
  dlq: TEXT,
  role: oneOf(["leader", "standby", "unknown", "off"] satisfies Role[]),
  leader: TEXT_OR_NULL,
  depth: { type: ["integer", "null"], minimum: 0 },
  oldest: { anyOf: [{ type: "null" }, objectOf({ waitingSince: INSTANT_OR_NULL, eventTime: INSTANT_OR_NULL })] },
  lastCycle: INSTANT_OR_NULL,
  nextCycle: INSTANT_OR_NULL,
  explanation: TEXT,
  gates: listOf(objectOf({
    ...{ name: oneOf(GATE_NAMES), open: FLAG, reason: TEXT, detail: TEXT },
    since: { ...INSTANT_OR_NULL, type: "string" },
    next: INSTANT_OR_NULL,
  })),
});

/** Schema of the health document, tested against real ones in `tests/integration/operation_schemas_test.ts`. */
export const STATUS_SCHEMA: JsonSchema = objectOf({
  status: oneOf(["healthy", "unhealthy"]),
  service: oneOf(["mutt-remediation"]),
  ...{ version: TEXT, pod: TEXT },
  checks: objectOf({ live: TEXT, ready: TEXT }),
  errors: listOf(TEXT),
  redis: oneOf(["connected", "disconnected"]),
  replay: oneOf(["on", "off"]),
  ...{ moogsoft: TEXT, vault: TEXT },
  sources: listOf(SOURCE_SCHEMA),
}, { optional: ["errors"] });

/** Reports the health document, as `/health` returns it with JSON. */
export const status = {
  name: "status",
  summary: "The service's health, and the state of each source and gate",
  runsIn: "service",
  role: "viewer",
  input: objectOf({}),
  output: STATUS_SCHEMA,
  http: { method: "GET", path: "/status" },
  run: (context: ServiceContext): Status =>
    composeStatus(readStatus(context), {
      ...{ checks: CHECK_NAMES, version: context.version, podName: context.podName },
    }),
} satisfies Operation<ServiceContext, Record<never, never>, Status>;

/** Builds the health document from a state and the requested checks. */
export function composeStatus<Details extends object>(
  state: HealthState<Details>,
  { checks, version, podName }: { checks: readonly CheckName[]; version: string; podName: string },
): Details & StatusHead {
  const errors = checks.filter((name) => !state[name].ok).map((name) => state[name].reason);
  const head: StatusHead = {
    status: errors.length === 0 ? "healthy" : "unhealthy",
    service: "mutt-remediation",
    version,
    pod: podName,
    checks: Object.fromEntries(checks.map((name) => [name, state[name].ok ? "ok" : state[name].reason])),
    ...(errors.length === 0 ? {} : { errors }),
  };
  // Spread twice on purpose: the head comes first, and details cannot replace it.
  return { ...head, ...state.details, ...head };
}

/** Reads the service's current state. */
export function readStatus(context: ServiceContext): HealthState<Readonly<StatusDetails> & Record<string, unknown>> {
  const { live, connections, clock, signal, vault } = context, sources = context.sources();
  const isTurning = sources.every(({ loop }) => loop.isTurning());
  const settings = live.current();
  const details: StatusDetails = {
    redis: connections.isReady() ? "connected" : "disconnected",
    replay: settings.enabled ? "on" : "off",
    moogsoft: needsMoogsoft(sources.map(({ parts }) => parts.setup))
      ? whyMoogsoftIsNotAsked(settings) ?? "asked"
      : "no source needs it",
    vault: vault?.state().detail ?? "not asked",
    sources: sources.map((source) => describeSource(source, clock)),
  };
  return {
    live: { ok: isTurning, reason: isTurning ? "turning" : "the replay loop does not run" },
    ready: signal.aborted
      ? { ok: false, reason: "stopping" }
      : judgeReady({ connections, sources, nowMs: clock.nowMs() }),
    details: { ...details },
  };
}

function judgeReady(
  { connections, sources, nowMs }: Pick<ServiceContext, "connections"> & {
    sources: readonly RunningSource[];
    nowMs: number;
  },
): HealthCheck {
  if (!connections.isReady()) {
    return { ok: false, reason: `Redis cannot be used (${connections.lastErrorCode() || "CONNECTING"})` };
  }
  // Redis answers but refuses to move messages, as of the gate's last check.
  for (const { parts: { setup, board } } of sources) {
    const refusing = board.last().closed.find(({ name }) => name === "redis");
    if (refusing) return { ok: false, reason: `source ${setup.policy.name}: ${refusing.detail}` };
  }
  const waiting = sources.filter(({ loop }) => !loop.isStarted()).map(({ parts }) => parts.setup.policy.name);
  if (waiting.length > 0) {
    return { ok: false, reason: `Redis has not been checked yet for source ${waiting.join(", ")}` };
  }
  for (const { parts: { setup, board, leadership } } of sources) {
    // Without an error, an instance that does not lead is a standby or disabled.
    const closed = board.last().closed.find(({ name, sinceMs }) =>
      name === "leader" && leadership.isFailing() && nowMs - sinceMs >= NO_COMMIT_MS
    );
    if (!closed) continue;
    const seconds = Math.round((nowMs - closed.sinceMs) / 1_000);
    const reason = `source ${setup.policy.name} has not been able to commit for ${seconds} s: ${closed.detail}`;
    return { ok: false, reason };
  }
  return { ok: true, reason: "ready" };
}

function describeSource(source: RunningSource, clock: ServiceContext["clock"]): SourceState {
  const { setup, board, replay, leadership, oldest } = source.parts;
  return {
    name: setup.policy.name,
    dlq: setup.policy.dlq,
    role: leadership.status().role,
    leader: leadership.status().holder || null,
    depth: replay.lastSnapshot()?.depth ?? null,
    oldest: describeOldest(oldest()),
    ...describeCycles(replay),
    explanation: explainSource(readFacts(source, clock)).sentence,
    gates: board.last().statuses.map(({ name, open, reason, detail, sinceMs, nextMs }) => ({
      ...{ name, open, reason, detail },
      since: new Date(sinceMs).toISOString(),
      next: nextMs === undefined ? null : new Date(nextMs).toISOString(),
    })),
  };
}

function describeOldest(oldest: OldestMessage | null): OldestState | null {
  const toText = (atMs: number | null) => atMs === null ? null : toIso(atMs);
  return oldest && { waitingSince: toText(oldest.sinceMs), eventTime: toText(oldest.eventAtMs) };
}

/** When the last cycle began and the next one is due, by Redis' clock; `null` if not known. */
function describeCycles(
  replay: Pick<SourceReplay, "lastSnapshot" | "nextCycleInMs">,
): Pick<SourceState, "lastCycle" | "nextCycle"> {
  const snapshot = replay.lastSnapshot();
  if (!snapshot || snapshot.record.cycle === 0) return { lastCycle: null, nextCycle: null };
  const { nowMs, record } = snapshot;
  return {
    lastCycle: new Date(record.startedAtMs).toISOString(),
    nextCycle: new Date(nowMs + replay.nextCycleInMs()).toISOString(),
  };
}
