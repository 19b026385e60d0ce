/** Gate `pace`: how many messages may be replayed right now, shared by all instances, and with a limiter by all sources. */
import type { RedisClient } from "../redis/cluster.ts";
import { BOOKS_LEAD_MS, grantReplays, limiterRoom, type PaceAnswer, rateRoom, spendRate } from "./pace.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { PaceLedgerStore, type ReadLedger } from "./pace_ledger_store.ts";
import type { Gate, GateAnswer } from "../gates/gate.ts";

/** Settings of the pace, read anew each time. */
export interface PaceSettings {
  /** `auto`: the room that the forwarder's rate limiter has left; else messages a second, 0: no limit. */
  readonly maxPerSecond: "auto" | number;
  /** What sets that, for people. */
  readonly decidedBy: string;
  /** The forwarder's limit: so many alerts … */
  readonly rateLimit: number;
  /** … in so many seconds. */
  readonly ratePeriodSeconds: number;
}

/** What the gate needs. */
export interface PaceDeps {
  readonly settings: () => PaceSettings;
  /** The forwarder's own books: ZSET of what it sent, scored by milliseconds (contract §1.4). */
  readonly rateKey: string;
  /** The queues between a replayed message and the limiter: what waits there will use it. */
  readonly waitingQueues: readonly string[];
  /** Whether what is replayed ends at the forwarder: then it is entered in the shared ledger under a fixed rate too. */
  readonly feedsForwarder: boolean;
  /** The source as last read. */
  readonly snapshot: () => Snapshot | null;
  /** Told each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
}

/** The gate, and how its room is taken. */
export interface PaceGate extends Gate {
  /** Takes room for `count` replays before they are committed; false where another source or instance was quicker: ask again. */
  reserve(count: number): Promise<boolean>;
  /** Fields of the record that go with the commit of `count` replays. */
  fieldsAfter(count: number): Readonly<Record<string, string>>;
}

/** Creates the gate. `auto` costs a ZCOUNT, an HMGET and an LLEN a queue an ask; a fixed rate costs nothing to ask. */
export function createPaceGate(redis: RedisClient, deps: PaceDeps): PaceGate {
  const store = new PaceLedgerStore(redis, deps.rateKey);
  /** The ledger that the last answer rests on. */
  let asked: ReadLedger | null = null;

  async function askLimiter(
    snapshot: Snapshot,
    { rateLimit, ratePeriodSeconds, decidedBy }: PaceSettings,
  ): Promise<GateAnswer> {
    const { nowMs } = snapshot;
    const periodMs = ratePeriodSeconds * 1_000;
    const [read, used, ...depths] = await Promise.all([
      store.read(),
      redis.zcount(deps.rateKey, nowMs - periodMs, nowMs + BOOKS_LEAD_MS),
      ...deps.waitingQueues.map((queue) => redis.llen(queue)),
    ]);
    const waiting = depths.reduce((a, b) => a + b, 0);
    const { answer, ledger } = limiterRoom(read.ledger, { limit: rateLimit, periodMs, used, waiting, nowMs });
    asked = { version: read.version, ledger };
    return toAnswer(
      answer,
      `the forwarder takes ${rateLimit} alerts per ${ratePeriodSeconds} s, did ${used} of late, and ${waiting} ` +
        `wait before it (${decidedBy} is auto)`,
    );
  }

  return {
    name: "pace",
    async ask() {
      asked = null;
      const snapshot = deps.snapshot();
      const settings = deps.settings();
      const { maxPerSecond, decidedBy } = settings;
      if (maxPerSecond === 0) return { open: true, reason: "no_limit", detail: `${decidedBy} is 0` };
      if (!snapshot) {
        return { open: false, reason: "unknown", detail: "the source has not been read yet", retryInMs: 250 };
      }
      if (maxPerSecond !== "auto") {
        const { nowMs, record: { spentUntilMs } } = snapshot;
        const detail = `at most ${maxPerSecond} messages a second (${decidedBy})`;
        return toAnswer(rateRoom({ perSecond: maxPerSecond, nowMs, spentUntilMs }), detail);
      }
      try {
        return await askLimiter(snapshot, settings);
      } catch (error) {
        deps.onRedisError?.(error);
        const detail = `${deps.rateKey} and ${deps.waitingQueues.join(", ")} could not be measured ` +
          `(${redisErrorCode(error)}), which ${decidedBy} = auto needs`;
        return { open: false, reason: "unknown", detail, retryInMs: 1_000 };
      }
    },
    async reserve(count) {
      const snapshot = deps.snapshot();
      const { maxPerSecond, ratePeriodSeconds } = deps.settings();
      if (maxPerSecond === 0 || (maxPerSecond !== "auto" && !deps.feedsForwarder)) return true;
      // Another source's automatic pace must see what a fixed rate sends its way (tests/integration/flow_gates_test.ts).
      const read = maxPerSecond === "auto" ? asked : await store.read();
      if (!read || !snapshot) return false;
      const periodMs = ratePeriodSeconds * 1_000;
      const ledger = grantReplays(read.ledger, { nowMs: snapshot.nowMs, count, periodMs });
      return await store.write({ version: read.version, ledger }, { periodMs });
    },
    fieldsAfter(count) {
      const snapshot = deps.snapshot();
      const { maxPerSecond } = deps.settings();
      if (!snapshot || maxPerSecond === 0 || maxPerSecond === "auto") return {};
      const { nowMs, record: { spentUntilMs } } = snapshot;
      return { spentUntilMs: String(spendRate({ perSecond: maxPerSecond, nowMs, spentUntilMs, count })) };
    },
  };
}

function toAnswer({ room, retryInMs }: PaceAnswer, detail: string): GateAnswer {
  return room > 0
    ? { open: true, reason: "room", detail, room }
    : { open: false, reason: "no_room", detail, retryInMs };
}
