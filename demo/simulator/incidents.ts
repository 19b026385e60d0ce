/** The scripted incidents: what arrives, what breaks and when, in simulated minutes. Data only. */
import type { RateLimit } from "../../testkit/mutt/forwarder.ts";
import type { Stream } from "../../testkit/mutt/traffic.ts";

/** What surrounds the pipeline. */
export interface World {
  /** What Moogsoft answers every POST with. */
  readonly moogStatus: number;
  /** How long it takes to answer, in simulated milliseconds. */
  readonly moogLatencyMs: number;
  readonly isDatabaseUp: boolean;
  /** Share of INSERTs that fail while it is up, whatever the event. */
  readonly failedInserts: number;
}

/** A change of the world. */
export interface Change {
  readonly atMinute: number;
  readonly world: Partial<World>;
  /** What is told when it happens. */
  readonly says: string;
}

/** An incident. */
export interface Incident {
  readonly name: string;
  readonly title: string;
  /** Default 1. */
  readonly alerters?: number;
  readonly forwarders: number;
  readonly rate: RateLimit;
  readonly world: World;
  readonly streams: readonly Stream[];
  readonly changes: readonly Change[];
  /** When the last fault is over: from here on healing is measured. */
  readonly faultEndsAtMinute: number;
  /** When the run ends, healed or not. */
  readonly endsAtMinute: number;
}

const HEALTHY: World = { moogStatus: 200, moogLatencyMs: 300, isDatabaseUp: true, failedInserts: 0 };
/** MUTT's default limit, 50 per 1 s, over a minute, because the service counts whole seconds: never reached by one forwarder. */
const WIDE: RateLimit = { limit: 3_000, periodSeconds: 60 };
/** A limit that three forwarders together can exceed, so that what is over it is destroyed. */
const NARROW: RateLimit = { limit: 300, periodSeconds: 60 };
const THREE = { forwarders: 3, rate: NARROW, world: HEALTHY } as const;
const ONE = { forwarders: 1, rate: WIDE, world: HEALTHY } as const;

/** Healthy events at one rate from the start to the end. */
function steady(perMinute: number, toMinute: number): Stream {
  return { fromMinute: 0, toMinute, perMinute, kind: "healthy" };
}

/** Moogsoft fails with 503 in each of these spans. */
function outages(spans: readonly (readonly [fromMinute: number, toMinute: number])[]): Change[] {
  return spans.flatMap(([from, to]) => [
    { atMinute: from, world: { moogStatus: 503 }, says: "Moogsoft is down (503)" },
    { atMinute: to, world: { moogStatus: 200 }, says: "Moogsoft is back" },
  ]);
}

/** Every incident, by its name on the command line. */
export const INCIDENTS: readonly Incident[] = [
  {
    ...{ name: "moogsoft-down", title: "Moogsoft is down for an hour" },
    ...ONE,
    streams: [steady(42, 100)],
    changes: outages([[3, 63]]),
    ...{ faultEndsAtMinute: 63, endsAtMinute: 100 },
  },
  {
    ...{ name: "postgres-down", title: "The alerter's Postgres is down for 15 minutes" },
    ...THREE,
    streams: [steady(30, 58)],
    changes: [
      { atMinute: 3, world: { isDatabaseUp: false }, says: "Postgres is down" },
      { atMinute: 18, world: { isDatabaseUp: true }, says: "Postgres is back" },
    ],
    ...{ faultEndsAtMinute: 18, endsAtMinute: 58 },
  },
  {
    ...{ name: "flapping", title: "Moogsoft flaps: four times down for 10 minutes and up for 4" },
    ...{ ...ONE, world: { ...HEALTHY, moogLatencyMs: 200 } },
    streams: [steady(100, 83)],
    changes: outages([[3, 13], [17, 27], [31, 41], [45, 55]]),
    ...{ faultEndsAtMinute: 55, endsAtMinute: 83 },
  },
  {
    ...{ name: "load-shed", title: "A storm of 420 events a minute for 12 minutes, some of them broken" },
    ...ONE,
    streams: [
      steady(20, 50),
      { fromMinute: 5, toMinute: 17, perMinute: 420, kind: "healthy" },
      { fromMinute: 5, toMinute: 17, perMinute: 20, kind: "malformed" },
      { fromMinute: 5, toMinute: 17, perMinute: 6, kind: "not_json" },
      { fromMinute: 5, toMinute: 17, perMinute: 4, kind: "non_object" },
    ],
    changes: [
      { atMinute: 5, world: {}, says: "the storm begins" },
      { atMinute: 17, world: {}, says: "the storm is over" },
    ],
    ...{ faultEndsAtMinute: 17, endsAtMinute: 50 },
  },
  {
    ...{ name: "poison-burst", title: "A burst of 60 poison events, and Postgres away for 3 minutes within it" },
    ...THREE,
    streams: [steady(40, 90), { fromMinute: 3, toMinute: 13, perMinute: 6, kind: "poison" }],
    changes: [
      { atMinute: 3, world: {}, says: "poison comes in" },
      { atMinute: 6, world: { isDatabaseUp: false }, says: "Postgres is down" },
      { atMinute: 9, world: { isDatabaseUp: true }, says: "Postgres is back" },
      { atMinute: 13, world: {}, says: "no more poison comes in" },
    ],
    ...{ faultEndsAtMinute: 13, endsAtMinute: 90 },
  },
  {
    ...{ name: "steady-inflow", title: "Postgres fails 60 % of all INSERTs, for 40 minutes" },
    ...THREE,
    streams: [steady(60, 60)],
    changes: [
      { atMinute: 3, world: { failedInserts: 0.6 }, says: "Postgres fails 60 % of all INSERTs" },
      { atMinute: 43, world: { failedInserts: 0 }, says: "Postgres is well" },
    ],
    ...{ faultEndsAtMinute: 43, endsAtMinute: 60 },
  },
  {
    ...{ name: "poison-first", title: "60 poison events, and behind them what Postgres misses in 3 minutes" },
    ...THREE,
    streams: [steady(40, 60), { fromMinute: 1, toMinute: 3, perMinute: 30, kind: "poison" }],
    changes: [
      { atMinute: 1, world: {}, says: "poison comes in" },
      { atMinute: 3, world: { isDatabaseUp: false }, says: "Postgres is down" },
      { atMinute: 6, world: { isDatabaseUp: true }, says: "Postgres is back" },
    ],
    ...{ faultEndsAtMinute: 6, endsAtMinute: 60 },
  },
  {
    ...{ name: "key-rotated", title: "The API key is rotated: Moogsoft answers 401 for half an hour" },
    ...THREE,
    streams: [steady(30, 70)],
    changes: [
      { atMinute: 3, world: { moogStatus: 401 }, says: "Moogsoft answers 401" },
      { atMinute: 33, world: { moogStatus: 200 }, says: "the new key is in place everywhere" },
    ],
    ...{ faultEndsAtMinute: 33, endsAtMinute: 70 },
  },
  {
    ...{ name: "slow-moogsoft", title: "Moogsoft takes 3 s an event for 40 minutes" },
    ...ONE,
    streams: [steady(90, 86)],
    changes: [
      { atMinute: 3, world: { moogLatencyMs: 3_000 }, says: "Moogsoft becomes slow" },
      { atMinute: 43, world: { moogLatencyMs: HEALTHY.moogLatencyMs }, says: "Moogsoft is as quick as before" },
    ],
    ...{ faultEndsAtMinute: 43, endsAtMinute: 86 },
  },
];
