/** The built-in sources, made from the settings. */
import type { Settings } from "../config/fields.ts";
import type { SourcePolicy } from "../domain/source.ts";

/** A source and what its gates look at. */
export interface SourceSetup {
  readonly policy: SourcePolicy;
  /** Queues whose lengths together the depth gate bounds, and that the pace counts as waiting; the target first. */
  readonly downstreamQueues: readonly string[];
  /** Limit of the depth gate where no variable sets one: a number, or MUTT's dynamic key for it before that number. */
  readonly depthLimit: { readonly fallback: number; readonly byWarnThreshold: boolean };
  /** Heartbeat keys of the consumer are `<prefix>:<pod>`. */
  readonly heartbeatPrefix: string;
  /** URL of the consumer that must answer 200; empty: not asked. */
  readonly healthUrl: string;
  /** Answers of Moogsoft that its consumer takes for success. */
  readonly successCodes: readonly number[];
  /** How long its consumer may take until what fails is back: shortest time from cycle to cycle. */
  readonly settleMs: number;
  /** Whether the forwarder's circuit breaker closes it. */
  readonly hasBreaker: boolean;
}

/** Limit for `alerter`: MUTT's warn threshold; the alerter sheds over twice as many (contract §1.3). */
const ALERTER_DEPTH_LIMIT = 1_000;
/** Limit for `moog`: a quarter of what the alerter sheds over. */
const MOOG_DEPTH_LIMIT = 500;
/** The forwarder tries an alert for 63 s before it dead-letters it (contract §1.4). */
const MOOG_SETTLE_MS = 70_000;
/** The forwarder takes this answer for a failure and dead-letters the alert (contract §1.4). */
const NOT_FOR_FORWARDER = 202;

/** Every source that is switched on, in the order in which they are named. */
export function createSources(settings: Settings): readonly SourceSetup[] {
  return settings.sources.map((name) => BUILT_IN[name](settings));
}

const BUILT_IN: Readonly<Record<Settings["sources"][number], (settings: Settings) => SourceSetup>> = {
  alerter: (settings) => ({
    policy: {
      name: "alerter",
      dlq: settings.alerterDlq,
      target: settings.ingestQueue,
      dead: settings.deadList,
      counter: "_moog_retry_count",
      cutOnReplay: ["_retry_count", "shedding_reason"],
      required: ["hostname", "timestamp", "message"],
    },
    downstreamQueues: [settings.ingestQueue, settings.alertQueue],
    depthLimit: { fallback: ALERTER_DEPTH_LIMIT, byWarnThreshold: true },
    heartbeatPrefix: settings.alerterHeartbeatPrefix,
    healthUrl: settings.alerterHealthUrl,
    successCodes: settings.moogHealthSuccessCodes,
    settleMs: 0,
    hasBreaker: false,
  }),
  moog: (settings) => ({
    policy: {
      name: "moog",
      dlq: settings.moogDlq,
      target: settings.alertQueue,
      dead: settings.deadList,
      // A count of 6 there means that an outage used the retries up, not that the alert is poison.
      counter: null,
      cutOnReplay: ["_moog_retry_count"],
      required: [],
    },
    downstreamQueues: [settings.alertQueue],
    depthLimit: { fallback: MOOG_DEPTH_LIMIT, byWarnThreshold: false },
    heartbeatPrefix: settings.moogHeartbeatPrefix,
    healthUrl: "",
    successCodes: settings.moogHealthSuccessCodes.filter((code) => code !== NOT_FOR_FORWARDER),
    settleMs: MOOG_SETTLE_MS,
    hasBreaker: true,
  }),
};
