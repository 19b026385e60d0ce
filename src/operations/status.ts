/** Operation `status`: whether the running service lives and is ready, and what each source and gate is doing. Does no IO. */
import { whyMoogsoftIsNotAsked } from "../config/rules.ts";
import { GATE_NAMES, type GateName } from "../gates/gate.ts";
import type { Role } from "../gates/leader.ts";
import type { OldestMessage } from "../replay/depth_watch.ts";
import type { SourceReplay } from "../replay/source_replay.ts";
import { toIso } from "../runtime/clock.ts";
import type { RunningSource, ServiceContext } from "./context.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { FLAG, INSTANT_OR_NULL, listOf, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";

/** A source that could not commit for so long makes the service not ready, in milliseconds. */
const NO_COMMIT_MS = 15_000;

/** What probes ask. */
export const CHECK_NAMES = ["live", "ready"] as const;
/** One of {@link CHECK_NAMES}. */
export type CheckName = (typeof CHECK_NAMES)[number];

/** One question's answer; `reason` is what `/health` says while it is not `ok`. */
export interface HealthCheck {
  readonly ok: boolean;
  readonly reason: string;
}

/** The service's state, as far as probes care. */
export interface HealthState<Details extends object = Readonly<Record<string, unknown>>> {
  /** The loop turns. Never fails for Redis, Moogsoft or a closed gate: a restart would not help. */
  readonly live: HealthCheck;
  /** Redis is reachable, the configuration good, and the service not stopping. */
  readonly ready: HealthCheck;
  /** Further members of the JSON, e.g. `redis: "connected"`; they cannot replace its own. */
  readonly details: Details;
}

/** The first members of the health document. */
export interface StatusHead {
  readonly status: "healthy" | "unhealthy";
  readonly service: "mutt-remediation";
  readonly version: string;
  readonly pod: string;
  /** `ok`, or why not, of each check that was asked for. */
  readonly checks: Readonly<Partial<Record<CheckName, string>>>;
  /** Only where a check is not `ok`. */
  readonly errors?: readonly string[];
}

/** A gate's last answer. Instants are ISO 8601. */
export interface GateState {
  readonly name: GateName;
  readonly open: boolean;
  readonly reason: string;
  /** One sentence for people. */
  readonly detail: string;
  /** Since when it has been open, or closed. */
  readonly since: string;
  /** When asking again may give another answer; `null`: not known. */
  readonly next: string | null;
}

/** The oldest dead letter of a source: since when it waits here, and the time that it gives of itself. */
export interface OldestState {
  readonly waitingSince: string | null;
  readonly eventTime: string | null;
}

/** One source. Instants are ISO 8601. */
export interface SourceState {
  readonly name: string;
  readonly dlq: string;
  /** What this instance is to it. */
  readonly role: Role;
  /** The instance that leads; `null`: not known. */
  readonly leader: string | null;
  /** Messages in the DLQ as last read; `null`: not read yet. */
  readonly depth: number | null;
  /** `null`: the DLQ is empty, or was not looked at yet. */
  readonly oldest: OldestState | null;
  /** When the last cycle began, by Redis' clock; `null`: not known. */
  readonly lastCycle: string | null;
  /** When the next one is due. */
  readonly nextCycle: string | null;
  readonly gates: readonly GateState[];
}

/** The further members of the health document. */
export interface StatusDetails {
  readonly redis: "connected" | "disconnected";
  readonly replay: "on" | "off";
  /** `asked`, or why Moogsoft is not. */
  readonly moogsoft: string;
  /** How the last look at Vault went, or that it is not asked. */
  readonly vault: string;
  readonly sources: readonly SourceState[];
}

/** The health document, as `/health` and `health --json` show it. */
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
  gates: listOf(objectOf({
    ...{ name: oneOf(GATE_NAMES), open: FLAG, reason: TEXT, detail: TEXT },
    since: { ...INSTANT_OR_NULL, type: "string" },
    next: INSTANT_OR_NULL,
  })),
});

/** The health document's schema; `tests/integration/operation_schemas_test.ts` holds it against real ones. */
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

/** The operation; its output is what `/health` answers with JSON. */
export const status = {
  name: "status",
  summary: "Whether the service is healthy, and what each source and gate is doing",
  runsIn: "service",
  role: "viewer",
  input: objectOf({}),
  output: STATUS_SCHEMA,
  run: (context: ServiceContext): Status =>
    composeStatus(readStatus(context), {
      ...{ checks: CHECK_NAMES, version: context.version, podName: context.podName },
    }),
} satisfies Operation<ServiceContext, Record<never, never>, Status>;

/** The health document of a state, with the answers of these checks. */
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
  // Named twice on purpose: ours come first to read, and win.
  return { ...head, ...state.details, ...head };
}

/** The service's state now. */
export function readStatus(context: ServiceContext): HealthState<Readonly<StatusDetails> & Record<string, unknown>> {
  const { live, connections, clock, signal, vault } = context, sources = context.sources();
  const isTurning = sources.every(({ loop }) => loop.isTurning());
  const settings = live.current();
  const details: StatusDetails = {
    redis: connections.isReady() ? "connected" : "disconnected",
    replay: settings.enabled ? "on" : "off",
    moogsoft: whyMoogsoftIsNotAsked(settings) ?? "asked",
    vault: vault?.state().detail ?? "not asked",
    sources: sources.map(describeSource),
  };
  return {
    live: { ok: isTurning, reason: isTurning ? "turning" : "the replay loop does not turn" },
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
  // Answers, but lets nothing be moved: as of the last time that somebody asked.
  for (const { parts: { setup, board } } of sources) {
    const refusing = board.last().closed.find(({ name }) => name === "redis");
    if (refusing) return { ok: false, reason: `source ${setup.policy.name}: ${refusing.detail}` };
  }
  const waiting = sources.filter(({ loop }) => !loop.isStarted()).map(({ parts }) => parts.setup.policy.name);
  if (waiting.length > 0) {
    return { ok: false, reason: `Redis has not been looked at yet for source ${waiting.join(", ")}` };
  }
  for (const { parts: { setup, board, leadership } } of sources) {
    // Without an error an instance that does not lead stands by, or is switched off.
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

function describeSource({ parts: { setup, board, replay, leadership, oldest } }: RunningSource): SourceState {
  return {
    name: setup.policy.name,
    dlq: setup.policy.dlq,
    role: leadership.status().role,
    leader: leadership.status().holder || null,
    depth: replay.lastSnapshot()?.depth ?? null,
    oldest: describeOldest(oldest()),
    ...describeCycles(replay),
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

/** When the last cycle began and the next one is due, by Redis' clock; null where that is not known. */
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
