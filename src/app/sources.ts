/** The built-in sources, made from the settings. */
import type { SourcePolicy } from "../domain/source.ts";
import type { Settings } from "../config/fields.ts";

/** A source and what its gates look at. */
export interface SourceSetup {
  readonly policy: SourcePolicy;
  /** Queues whose lengths together the depth gate bounds; the target first. */
  readonly depthQueues: readonly string[];
  /** Limit of the depth gate where neither a variable nor a dynamic key sets one. */
  readonly defaultDepthLimit: number;
  /** Heartbeat keys of the consumer are `<prefix>:<pod>`. */
  readonly heartbeatPrefix: string;
}

/** Limit for `alerter`: MUTT's warn threshold; the alerter sheds over twice as many (contract §1.3). */
const ALERTER_DEPTH_LIMIT = 1_000;

/** Every source that is switched on, in the order in which it is shown. */
export function createSources(settings: Settings): readonly SourceSetup[] {
  return [{
    policy: {
      name: "alerter",
      dlq: settings.alerterDlq,
      target: settings.ingestQueue,
      dead: settings.deadList,
      counter: "_moog_retry_count",
      cutOnReplay: ["_retry_count", "shedding_reason"],
      required: ["hostname", "timestamp", "message"],
    },
    depthQueues: [settings.ingestQueue, settings.alertQueue],
    defaultDepthLimit: ALERTER_DEPTH_LIMIT,
    heartbeatPrefix: settings.alerterHeartbeatPrefix,
  }];
}
