/** Gate `pace`: how many messages may be replayed right now, shared by all instances through the source's record. */
import type { Redis } from "ioredis";
import {
  addRecent,
  formatRecent,
  limiterRoom,
  type PaceAnswer,
  rateRoom,
  ROOM_LAG_MS,
  spendRate,
} from "../domain/pace.ts";
import type { Snapshot } from "../redis/dead_letter_store.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Gate } from "./gate.ts";

/** Settings of the pace, read anew each time. */
export interface PaceSettings {
  /** `auto`: the room that the forwarder's rate limiter has left; else messages a second, 0: no limit. */
  readonly maxPerSecond: "auto" | number;
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
  /** The forwarder's queue: what waits there will use the limit. */
  readonly alertQueue: string;
  /** The source as last read. */
  readonly snapshot: () => Snapshot | null;
  /** Told each failed Redis call, for counting. */
  readonly onRedisError?: (error: unknown) => void;
}

/** The gate, and what a commit must write so that the next one sees it. */
export interface PaceGate extends Gate {
  /** Fields of the record after `count` messages were replayed at `nowMs` of the server. */
  fieldsAfter(count: number): Readonly<Record<string, string>>;
}

/** Creates the gate. `auto` costs a ZCOUNT and an LLEN an ask; a fixed rate costs nothing. */
export function createPaceGate(redis: Redis, deps: PaceDeps): PaceGate {
  return {
    name: "pace",
    async ask() {
      const snapshot = deps.snapshot();
      const { maxPerSecond, rateLimit, ratePeriodSeconds } = deps.settings();
      if (maxPerSecond === 0) return { open: true, reason: "no_limit", detail: "REMEDIATION_MAX_PER_SECOND is 0" };
      if (!snapshot) {
        return { open: false, reason: "unknown", detail: "the source has not been read yet", retryInMs: 250 };
      }
      if (maxPerSecond !== "auto") {
        const { spentUntilMs } = snapshot.record;
        const detail = `at most ${maxPerSecond} messages a second (REMEDIATION_MAX_PER_SECOND)`;
        return toAnswer(rateRoom({ perSecond: maxPerSecond, nowMs: snapshot.nowMs, spentUntilMs }), detail);
      }
      try {
        const fromMs = snapshot.nowMs - ratePeriodSeconds * 1_000 - ROOM_LAG_MS;
        const [used, waiting] = await Promise.all([
          redis.zcount(deps.rateKey, fromMs, "+inf"),
          redis.llen(deps.alertQueue),
        ]);
        const { recent } = snapshot.record;
        const answer = limiterRoom({ limit: rateLimit, used, waiting, recent, nowMs: snapshot.nowMs });
        const detail = `the forwarder takes ${rateLimit} alerts per ${ratePeriodSeconds} s, did ${used} of late, ` +
          `and ${waiting} wait for it (REMEDIATION_MAX_PER_SECOND is auto)`;
        return toAnswer(answer, detail);
      } catch (error) {
        deps.onRedisError?.(error);
        const detail = `${deps.rateKey} and ${deps.alertQueue} could not be measured (${redisErrorCode(error)}), ` +
          "which REMEDIATION_MAX_PER_SECOND=auto needs";
        return { open: false, reason: "unknown", detail, retryInMs: 1_000 };
      }
    },
    fieldsAfter(count) {
      const snapshot = deps.snapshot();
      const { maxPerSecond } = deps.settings();
      if (!snapshot || maxPerSecond === 0) return {};
      const { nowMs, record: { recent, spentUntilMs } } = snapshot;
      return maxPerSecond === "auto"
        ? { recent: formatRecent(addRecent(recent, { nowMs, count })) }
        : { spentUntilMs: String(spendRate({ perSecond: maxPerSecond, nowMs, spentUntilMs, count })) };
    },
  };
}

function toAnswer({ room, retryInMs }: PaceAnswer, detail: string) {
  return room > 0
    ? { open: true, reason: "room", detail, room } as const
    : { open: false, reason: "no_room", detail, retryInMs } as const;
}
