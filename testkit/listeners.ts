/** Both ports of the service with their real pages. */
import assert from "node:assert/strict";
import { createHealthHandler } from "../src/api/health.ts";
import type { HealthState } from "../src/operations/status.ts";
import { createMetricsHandler } from "../src/api/metrics.ts";
import type { PortOptions } from "../src/http/door.ts";
import { HttpServer, type HttpServerOptions } from "../src/http/server.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import type { SloReport } from "../src/slo/monitor.ts";
import { recordLog } from "./recorded_log.ts";

/** A port. */
export interface TestListener {
  readonly port: number;
  /** Whether `/health` answers 200. */
  isAlive(): Promise<boolean>;
}

/** SLO report of a service without sources. */
export const NO_OBJECTIVES: SloReport = {
  ...{ window_hours: 24, components: {}, state: "insufficient_data" },
  ...{ pod: "pod", since: "2026-11-20T10:00:00.000Z" },
};

const GOOD: HealthState = { live: { ok: true, reason: "" }, ready: { ok: true, reason: "" }, details: {} };

/** Starts both for the body. Fails if anything was logged. */
export async function withListeners(body: (listeners: readonly TestListener[]) => Promise<void>): Promise<void> {
  const { log, lines } = recordLog();
  const listeners = [
    createHealthHandler({ health: () => GOOD, slo: () => NO_OBJECTIVES, version: "1.2.3", podName: "pod" }),
    createMetricsHandler({ render: () => Promise.resolve("up 1\n") }),
  ].map((handler) => startPort({ handler, log }));
  try {
    await body(listeners.map(({ port }) => ({ port, isAlive: () => isAlive(port) })));
  } finally {
    for (const listener of listeners) await listener.stop();
  }
  assert.deepEqual(lines, [], "a page threw, or a request was logged");
}

/** A port with its own server. */
export interface TestPort {
  readonly port: number;
  /** The server of the port. */
  readonly server: HttpServer;
  stop(): Promise<void>;
}

/** Starts a server on a free port of loopback. Default limits: the server's. */
export function startPort(options: Pick<PortOptions, "handler"> & Partial<PortOptions & HttpServerOptions>): TestPort {
  const server = new HttpServer({ clock: SYSTEM_CLOCK, log: recordLog().log, ...options });
  const place = { bindAddress: "127.0.0.1", port: 0, portVariable: "SOME_PORT" };
  return { port: server.open({ ...place, ...options }), server, stop: () => server.stop() };
}

async function isAlive(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { headers: { connection: "close" } });
  await response.body?.cancel();
  return response.status === 200;
}
