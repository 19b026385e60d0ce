/** Both ports of the service, with their real pages, for a test. */
import assert from "node:assert/strict";
import { startHealthServer } from "../src/api/health_server.ts";
import type { HealthState } from "../src/operations/status.ts";
import type { Listener } from "../src/http/listener.ts";
import { startMetricsServer } from "../src/api/metrics_server.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import type { SloReport } from "../src/slo/monitor.ts";
import { recordLog } from "./recorded_log.ts";

/** One of the ports. */
export interface TestListener {
  readonly port: number;
  /** Whether `/health` is answered with 200. */
  isAlive(): Promise<boolean>;
}

/** Of a service without sources. */
export const NO_OBJECTIVES: SloReport = {
  ...{ window_hours: 24, components: {}, state: "insufficient_data" },
  ...{ pod: "pod", since: "2026-11-20T10:00:00.000Z" },
};

const GOOD: HealthState = { live: { ok: true, reason: "" }, ready: { ok: true, reason: "" }, details: {} };

/** Starts them for the body; nothing may have been logged when it is done. */
export async function withListeners(body: (listeners: readonly TestListener[]) => Promise<void>): Promise<void> {
  const { log, lines } = recordLog();
  const common = { bindAddress: "127.0.0.1", port: 0, clock: SYSTEM_CLOCK, log };
  const listeners: readonly Listener[] = [
    startHealthServer({ ...common, health: () => GOOD, slo: () => NO_OBJECTIVES, version: "1.2.3", podName: "pod" }),
    startMetricsServer({ ...common, metrics: { render: () => Promise.resolve("up 1\n") } }),
  ];
  try {
    await body(listeners.map(({ port }) => ({ port, isAlive: () => isAlive(port) })));
  } finally {
    for (const listener of listeners) await listener.stop();
  }
  assert.deepEqual(lines, [], "a page threw, or a request was logged");
}

async function isAlive(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: "close" } });
  await response.body?.cancel();
  return response.status === 200;
}
