/** MUTT's alerter as the demo has it: in real time, without a forwarder behind it. */
import type { Redis } from "ioredis";
import { startAlerter } from "../testkit/mutt/alerter.ts";
import { KEYS } from "../testkit/mutt/keys.ts";
import type { MuttObserver } from "../testkit/mutt/observer.ts";
import { SimClock } from "../testkit/mutt/sim_clock.ts";
import type { Worker } from "../testkit/mutt/worker.ts";

const POD = "demo";
/** What the alerter has in hand. */
export const PROCESSING = `${KEYS.processingAlerter}:${POD}`;
const INSERT_MS = 3, HEARTBEAT_TTL_SECONDS = 30;

/** Starts it. It counts as alive once this resolves: its own first heartbeat comes after ten seconds, as the real one's does. */
export async function startDemoAlerter(
  redis: Redis,
  { redisUrl, observer }: { redisUrl: string; observer: MuttObserver },
): Promise<Worker> {
  await redis.setex(`${KEYS.heartbeatAlerter}:${POD}`, HEARTBEAT_TTL_SECONDS, "alive");
  return startAlerter({
    redisUrl,
    observer,
    clock: new SimClock(1),
    pod: POD,
    insertMs: INSERT_MS,
    queuesAlerts: false,
  });
}
