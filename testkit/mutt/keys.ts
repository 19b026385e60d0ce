/** MUTT's keys that the fakes use (contract §1.1, §7). */
export const KEYS = {
  ingest: "mutt:ingest_queue",
  alerts: "mutt:alert_queue",
  dlqAlerter: "mutt:dlq:alerter",
  dlqMoog: "mutt:dlq:moog",
  dead: "mutt:dlq:dead",
  processingAlerter: "mutt:processing:alerter",
  processingMoog: "mutt:processing:moog",
  heartbeatAlerter: "mutt:heartbeat:alerter",
  heartbeatMoog: "mutt:heartbeat:moog",
  rate: "mutt:rate_limit:moog",
  breakerState: "mutt:circuit_breaker:moogsoft:state",
  breakerFailures: "mutt:circuit_breaker:moogsoft:failures",
  breakerOpenTime: "mutt:circuit_breaker:moogsoft:open_time",
} as const;

/** The two dead-letter queues that MUTT fills. */
export type DlqName = "alerter" | "moog";
