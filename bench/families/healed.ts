/**
 * How soon the DLQs are empty after an outage, beside MUTT's own service. Played by the simulator, at full scale in real
 * time with MUTT's default limits.
 */
import { createOriginal, createOurs } from "../../demo/simulator/contenders.ts";
import type { Incident } from "../../demo/simulator/incidents.ts";
import { isExact } from "../../demo/simulator/ledger.ts";
import type { Result } from "../../demo/simulator/pipeline.ts";
import { type Column, isDoubtful } from "../../demo/simulator/report.ts";
import { playIncident } from "../../demo/simulator/simulate.ts";
import type { RateLimit } from "../../testkit/mutt/forwarder.ts";
import type { Bench, Family, Figures, Scale, Table } from "../harness/family.ts";

/** An outage's size, and how it is played. Times are simulated seconds. */
export interface Outage {
  /** Simulated seconds per real one. */
  readonly factor: number;
  readonly rate: RateLimit;
  /** Messages that wait in the DLQ when Moogsoft returns. */
  readonly backlog: number;
  /** How long everything works before. */
  readonly calmSeconds: number;
  readonly downSeconds: number;
  /** Live events, from the start to the end. */
  readonly livePerSecond: number;
  /** How long it takes Moogsoft to answer, in simulated milliseconds. */
  readonly moogLatencyMs: number;
  /** Messages in the alert queue from which on the alerters shed. */
  readonly queued: number;
  /** When a run ends that is not healed: after this many times the bound. */
  readonly mostBounds: number;
}

/** What is played at each scale; `full`: MUTT's defaults, 50 alerts a second, and the alerters shed over 2,000. */
export const OUTAGES: Readonly<Record<Scale, Outage>> = {
  short: {
    ...{ factor: 60, rate: { limit: 3_000, periodSeconds: 60 }, backlog: 60, queued: 0 },
    ...{ calmSeconds: 60, downSeconds: 120, livePerSecond: 0.2, moogLatencyMs: 300 },
    mostBounds: 8,
  },
  full: {
    // The limit is one forwarder's speed too, so that it destroys nothing of its own queue.
    ...{ factor: 1, rate: { limit: 50, periodSeconds: 1 }, backlog: 10_000, livePerSecond: 5, moogLatencyMs: 20 },
    // The breaker opens some ten seconds after Moogsoft is down and half opens 300 s later, just after the return.
    ...{ queued: 2_000, calmSeconds: 15, downSeconds: 300, mostBounds: 1.5 },
  },
};

/** How Moogsoft fails decides where the messages wait. */
export interface Case {
  readonly name: string;
  readonly title: string;
  readonly moogStatus: number;
  /** Whether the alert queue fills up to its limit before anything is dead-lettered. */
  readonly fillsQueue: boolean;
}

/** Both built-in sources. */
export const CASES: readonly Case[] = [
  { name: "503", title: "Moogsoft is down (503): shed to mutt:dlq:alerter", moogStatus: 503, fillsQueue: true },
  {
    name: "401",
    title: "Moogsoft refuses (401): dead-lettered to mutt:dlq:moog",
    moogStatus: 401,
    fillsQueue: false,
  },
];

/** The bound is `BOUND_SHARE` × backlog / spare rate + `BOUND_SECONDS`. */
const BOUND_SHARE = 1.25, BOUND_SECONDS = 60;
const DEFAULT_BATCH = 10;

const EMPTIED = "s until the DLQ is empty", BOUND = "bound s";

/** The family. */
export const HEALED: Family = {
  name: "healed",
  about: "an outage with 10,000 waiting at MUTT's default limits: time until the DLQ is empty (some thirteen minutes)",
  async run(bench) {
    const outage = OUTAGES[bench.scale];
    // Side by side: in real time they use little of the machine. One that fails ends all.
    const ending = new AbortController();
    const signal = AbortSignal.any([bench.signal, ending.signal]);
    const plays = CASES.map(async (one) => {
      try {
        return tableOf(await play(one, { bench, signal, outage }), { one, outage });
      } catch (error) {
        ending.abort(error);
        throw error;
      }
    });
    const ended = await Promise.allSettled(plays);
    ending.signal.throwIfAborted();
    return ended.flatMap((end) => end.status === "fulfilled" ? [end.value] : []);
  },
};

async function play(
  one: Case,
  { bench, signal, outage }: { bench: Bench; signal: AbortSignal; outage: Outage },
): Promise<readonly Column[]> {
  const columns = await playIncident(incidentOf(one, outage), {
    contenders: [createOurs("alerter,moog"), createOriginal(DEFAULT_BATCH)],
    ...{ seed: 1, signal, factor: outage.factor },
    tell: (line) => {
      if (line.includes(" -- ")) bench.tell(`${one.name} ${line.trim()}`);
    },
  });
  for (const { title, result: { account } } of columns) {
    if (!isExact(account)) throw new Error(`healed: ${one.name}: ${title}: ${JSON.stringify(account)}`);
  }
  return columns;
}

/** What is played. */
export function incidentOf({ name, title, moogStatus, fillsQueue }: Case, outage: Outage): Incident {
  const { backlog, queued, calmSeconds, downSeconds, livePerSecond, moogLatencyMs, rate, mostBounds } = outage;
  const [fromMinute, toMinute] = [calmSeconds / 60, (calmSeconds + downSeconds) / 60];
  const endsAtMinute = toMinute + mostBounds * boundSeconds(backlog, outage) / 60;
  const perSecond = (backlog + (fillsQueue ? queued : 0)) / downSeconds - livePerSecond;
  return {
    ...{ name, title, rate, alerters: 3, forwarders: 1 },
    world: { moogStatus: 200, moogLatencyMs, isDatabaseUp: true, failedInserts: 0 },
    streams: [
      { fromMinute: 0, toMinute: endsAtMinute, perMinute: 60 * livePerSecond, kind: "healthy" },
      { fromMinute, toMinute, perMinute: 60 * perSecond, kind: "healthy" },
    ],
    changes: [
      { atMinute: fromMinute, world: { moogStatus }, says: `Moogsoft answers ${moogStatus}` },
      { atMinute: toMinute, world: { moogStatus: 200 }, says: "Moogsoft is back" },
    ],
    ...{ faultEndsAtMinute: toMinute, endsAtMinute },
  };
}

/** The bound in simulated seconds from Moogsoft's return. What the forwarder leaves over is its limit less the live events. */
export function boundSeconds(backlog: number, { rate, livePerSecond }: Outage): number {
  return BOUND_SHARE * backlog / (rate.limit / rate.periodSeconds - livePerSecond) + BOUND_SECONDS;
}

function tableOf(columns: readonly Column[], { one, outage }: { one: Case; outage: Outage }): Table {
  const rows = columns.map(({ title, result }) => ({ name: title, figures: figuresOf(result, outage) }));
  const { figures } = rows[0]!, { rate: { limit, periodSeconds }, livePerSecond, moogLatencyMs } = outage;
  const pace = outage.factor === 1 ? "in real time" : `${outage.factor} times as fast as real time`;
  return {
    title: `Healed: ${one.title}`,
    rows,
    notes: [
      `One run each, side by side, ${pace}. ` +
      `Limit ${limit} per ${periodSeconds} s, live ${livePerSecond} per s, Moogsoft takes ${moogLatencyMs} ms, one forwarder, ` +
      `three alerters, interval 300 s. ` +
      `Bound: ${BOUND_SHARE} × in the DLQs / (limit − live) + ${BOUND_SECONDS} s, from Moogsoft's return. ` +
      `A run ends ${outage.mostBounds} bounds after the return at the latest; "–": not empty by then.`,
      ...columns.filter(({ result }) => isDoubtful(result)).map(({ title }) =>
        `${title}: the machine was too slow for these times.`
      ),
    ],
    targets: outage.factor === 1
      ? [{
        ...{ what: `${one.name}: from Moogsoft's return to an empty DLQ`, bound: "at most", unit: "s" },
        ...{ limit: figures[BOUND]!, value: figures[EMPTIED] ?? null },
      }]
      : [],
  };
}

function figuresOf(result: Result, outage: Outage): Figures {
  const { account, backlog, queued, emptiedAfterMinutes } = result, { fates } = account;
  return {
    "in the DLQs": backlog,
    "in the queues": queued,
    [EMPTIED]: emptiedAfterMinutes === null ? null : 60 * emptiedAfterMinutes,
    [BOUND]: boundSeconds(backlog, outage),
    left: fates.dlqAlerter + fates.dlqMoog,
    "lost by replays": account.lostByReplays,
    "lost by MUTT": account.lostByPipeline,
    doubled: account.doubled,
    "wrongly dead": account.wronglyDead,
    bounced: account.bounced,
    "live delay p95 s": result.liveDelaySeconds,
  };
}
