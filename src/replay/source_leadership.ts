/** Creates the leadership of one source from the settings. */
import { MAX_LEASE_MS, type Settings } from "../config/fields.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { RedisClient } from "../redis/cluster.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { stateKey } from "../redis/keys.ts";
import { type Instance, LeaseStore } from "../redis/lease_store.ts";
import type { SourceLink } from "../redis/source_store.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Account } from "./account.ts";
import { Leadership } from "./leadership.ts";

/** The dependencies of {@link createLeadership}. */
export interface SourceLeadershipDeps {
  readonly committer: RedisClient;
  /** The identity of this process in the lease. */
  readonly instance: Instance;
  readonly settings: Pick<Settings, "leaderElection" | "leaseMs">;
  /** Whether replay is switched on. If not, this instance leaves the lease to another one. */
  readonly isEnabled: () => boolean;
  readonly link: SourceLink;
  readonly account: Account;
  readonly metrics: Metrics;
  readonly onChange?: (event: "gained" | "lost") => void;
  readonly log: Log;
  readonly clock: Clock;
}

/** Creates the leadership of a source, and adds it to the metrics. Asks Redis for nothing before it is started. */
export function createLeadership(
  policy: SourcePolicy,
  { committer, instance, settings, isEnabled, link, account, metrics, onChange, log, clock }: SourceLeadershipDeps,
): Leadership {
  const leadership = new Leadership({
    ...{ clock, log, source: policy.name },
    store: new LeaseStore(committer, stateKey(policy.dlq), instance, {
      onTooLong: () => tellLongLease(policy, { metrics, log }),
    }),
    enabled: settings.leaderElection,
    durationMs: settings.leaseMs,
    isReady: link.isReady,
    isEligible: isEnabled,
    ...(onChange ? { onChange } : {}),
    onRedisError: (error) => account.redisError(redisErrorCode(error), error),
  });
  metrics.showLeader(policy.name, () => leadership.leads());
  return leadership;
}

function tellLongLease(
  { name, dlq }: SourcePolicy,
  { metrics, log }: Pick<SourceLeadershipDeps, "metrics" | "log">,
): void {
  metrics.longLeases.inc({ source: name });
  const why = `longer than the ${MAX_LEASE_MS / 1_000} s that REMEDIATION_LEASE_DURATION allows`;
  log.warning("lease_too_long", `Remediation: ignored a lease in ${stateKey(dlq)} that was ${why}`, {
    source: name,
  });
}
