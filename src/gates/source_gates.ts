/** Creates the gates of one source, except MUTT's own, and the board that asks all of them. */
import type { ChooseProxy } from "../config/proxy.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { RedisClient } from "../redis/cluster.ts";
import type { MoveTrial } from "../redis/move_trial.ts";
import type { SourceLink } from "../redis/source_store.ts";
import type { Clock } from "../runtime/clock.ts";
import { GateBoard, type GateStatus } from "./board.ts";
import { ConsumerGate, type ConsumerGateMode } from "./consumer.ts";
import { createDepthGate, type DepthGate } from "./depth.ts";
import { type Gate, GATE_NAMES } from "./gate.ts";
import { createLeaderGate, type LeaderGateDeps } from "./leader.ts";
import { createBrakeGate } from "./brake.ts";
import { createEnabledGate } from "./enabled.ts";
import { createPauseGate } from "./pause.ts";
import { createWindowGate } from "./window.ts";
import { createJobGate } from "./job.ts";
import { createRedisGate } from "./redis.ts";
import type { RunningJob } from "../cycle/running_job.ts";
import type { SourceDefinition } from "./source_definition.ts";

/** Dependencies of {@link createSourceGates}. */
export interface SourceGatesDeps {
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with the error of each failed Redis call, to count it. */
  readonly onRedisError: (error: unknown) => void;
  readonly chooseProxy: ChooseProxy;
  readonly consumerGate: ConsumerGateMode;
  readonly isEnabled: () => boolean;
  /** Returns whether the dynamic configuration was read, if it is in use. */
  readonly isConfigKnown: () => boolean;
  readonly link: SourceLink;
  readonly trial: MoveTrial;
  readonly leadership: LeaderGateDeps;
  /** The depth gate's limit, and the name of the setting that decides it. */
  readonly depthLimit: () => { limit: number; decidedBy: string };
  /** The source's latest snapshot, for the gates `pause` and `window`. */
  readonly snapshot: Parameters<typeof createPauseGate>[0];
  /** The windows in force. */
  readonly windows: () => SourceDefinition["windows"];
  /** The source's last known state, for the gate `returns`. */
  readonly returns: Parameters<typeof createBrakeGate>[0];
  /** The source's job by the last read; `null`: none. */
  readonly job: () => RunningJob | null;
}

/** The gates that any source may have. */
export interface SourceGates {
  readonly consumer: ConsumerGate;
  readonly depth: DepthGate;
  /** All gates, including `consumer` and `depth`. */
  readonly all: readonly Gate[];
}

/** Creates the gates. They send nothing before the board asks them. The caller must stop `consumer`. */
export function createSourceGates(setup: SourceDefinition, deps: SourceGatesDeps): SourceGates {
  const { redis, clock, log, onRedisError, chooseProxy } = deps;
  const consumer = new ConsumerGate({
    ...{ redis, clock, log, onRedisError, chooseProxy },
    mode: deps.consumerGate,
    heartbeatPrefix: setup.heartbeatPrefix,
    healthUrl: setup.healthUrl === "" ? undefined : new URL(setup.healthUrl),
    healthUrlFrom: setup.healthUrlFrom,
  });
  const depth = createDepthGate(redis, { queues: setup.downstreamQueues, limit: deps.depthLimit, onRedisError });
  return {
    ...{ consumer, depth },
    all: [
      createEnabledGate({ isEnabled: deps.isEnabled, isKnown: deps.isConfigKnown }),
      createRedisGate(deps.link, deps.trial),
      createLeaderGate(deps.leadership),
      createPauseGate(deps.snapshot),
      createWindowGate({ windows: deps.windows, snapshot: deps.snapshot }),
      createJobGate(deps.job),
      ...[consumer, depth, createBrakeGate(deps.returns)],
    ],
  };
}

/** Creates the board of the source's gates, in the order of {@link GATE_NAMES}, and shows its answers as metrics. */
export function createSourceBoard(
  { policy: { name: source }, gates: names }: SourceDefinition,
  gates: readonly Gate[],
  { clock, log, metrics }: { clock: Clock; log: Log; metrics: Pick<Metrics, "gateOpen" | "showGates"> },
): GateBoard {
  const own = GATE_NAMES.flatMap((name) => names.includes(name) ? gates.filter((gate) => gate.name === name) : []);
  const board = new GateBoard(own, {
    ...{ clock, log, source },
    onAnswer: (gate, open) => metrics.gateOpen.set({ source, gate }, open ? 1 : 0),
  });
  metrics.showGates(source, () => closedSeconds(board.last().statuses, clock));
  return board;
}

/** Seconds that each gate has been closed; 0 if it is open. */
function closedSeconds(statuses: readonly GateStatus[], clock: Clock): [gate: string, seconds: number][] {
  return statuses.map(({ name, open, sinceMs }) => [name, open ? 0 : Math.max(0, clock.nowMs() - sinceMs) / 1_000]);
}
