/**
 * Gate `pace`: limits how many messages may be replayed now. Instances share it; with a rate limiter, sources share it
 * too.
 */
import type { RedisClient } from "../redis/cluster.ts";
import { BOOKS_LEAD_MS, grantReplays, limiterRoom, type PaceAnswer, rateRoom, ROOM_SHARE, spendRate } from "./pace.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { PaceLedgerStore, type ReadLedger } from "./pace_ledger_store.ts";
import type { Gate, GateAnswer } from "../gates/gate.ts";

/** Settings of the pace, read at each `ask`. */
export interface PaceSettings {
  /** `auto`: the room that the forwarder's rate limiter has left. A number: messages per second; 0 means no limit. */
  readonly maxPerSecond: "auto" | number;
  /** Name of the setting behind it, for messages. */
  readonly decidedBy: string;
  /** The forwarder's rate limit, in alerts per period. */
  readonly rateLimit: number;
  /** The period, in milliseconds. */
  readonly ratePeriodMs: number;
}

/** Dependencies of {@link createPaceGate}. */
export interface PaceDeps {
  readonly settings: () => PaceSettings;
  /** Key of the forwarder's rate limiter: a ZSET of sent alerts, scored by milliseconds (contract §1.4). */
  readonly rateKey: string;
  /** The queues between a replayed message and the limiter. Their messages will use the limit. */
  readonly waitingQueues: readonly string[];
  /** Whether replays reach the forwarder. If so, a fixed rate is recorded in the shared ledger too. */
  readonly feedsForwarder: boolean;
  /** The source's latest snapshot. */
  readonly snapshot: () => Snapshot | null;
  /** Called with the error of each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
}

/** The gate, with methods to use its room. */
export interface PaceGate extends Gate<"pace"> {
  /**
   * Reserves room for `count` replays before their commit. Returns false if another source or instance was faster; then
   * ask again.
   */
  reserve(count: number): Promise<boolean>;
  /** Returns the record fields to write with the commit of `count` replays. */
  fieldsAfter(count: number): Readonly<Record<string, string>>;
  /** Returns the most messages per second that the settings allow, without live traffic; `null`: no limit. */
  mostPerSecond(): number | null;
}

/**
 * Creates the gate. With `auto`, each `ask` costs a ZCOUNT, an HMGET and an LLEN per queue. A fixed rate costs no Redis
 * call.
 */
export function createPaceGate(redis: RedisClient, deps: PaceDeps): PaceGate {
  const store = new PaceLedgerStore(redis, deps.rateKey);
  /** The ledger behind the last answer. */
  let asked: ReadLedger | null = null;

  async function askLimiter(
    snapshot: Snapshot,
    { rateLimit, ratePeriodMs: periodMs, decidedBy }: PaceSettings,
  ): Promise<GateAnswer<"pace">> {
    const { nowMs } = snapshot;
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
      `the forwarder accepts ${rateLimit} alerts per ${periodMs / 1_000} s, sent ${used} in the last period, and ` +
        `${waiting} wait for it (${decidedBy} is auto)`,
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
        const detail = `at most ${maxPerSecond} messages per second (${decidedBy})`;
        return toAnswer(rateRoom({ perSecond: maxPerSecond, nowMs, spentUntilMs }), detail);
      }
      try {
        return await askLimiter(snapshot, settings);
      } catch (error) {
        deps.onRedisError?.(error);
        const detail = `${deps.rateKey} and ${deps.waitingQueues.join(", ")} cannot be measured ` +
          `(${redisErrorCode(error)}); ${decidedBy} = auto needs them`;
        return { open: false, reason: "unknown", detail, retryInMs: 1_000 };
      }
    },
    mostPerSecond() {
      const { maxPerSecond, rateLimit, ratePeriodMs } = deps.settings();
      if (maxPerSecond === "auto") return ROOM_SHARE * rateLimit / (ratePeriodMs / 1_000);
      return maxPerSecond === 0 ? null : maxPerSecond;
    },
    async reserve(count) {
      const snapshot = deps.snapshot();
      const { maxPerSecond, ratePeriodMs: periodMs } = deps.settings();
      if (maxPerSecond === 0 || (maxPerSecond !== "auto" && !deps.feedsForwarder)) return true;
      // Another source's automatic pace must see replays at a fixed rate (tests/integration/flow_gates_test.ts).
      const read = maxPerSecond === "auto" ? asked : await store.read();
      if (!read || !snapshot) return false;
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

function toAnswer({ room, retryInMs }: PaceAnswer, detail: string): GateAnswer<"pace"> {
  return room > 0
    ? { open: true, reason: "room", detail, room }
    : { open: false, reason: "no_room", detail, retryInMs };
}
