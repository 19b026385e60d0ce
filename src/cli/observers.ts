/** Log and tracer of the commands that work with Redis. */
import { startTracing } from "../app/tracing.ts";
import { VERSION } from "../app/version.ts";
import type { Settings } from "../config/fields.ts";
import { createLog, type Log, type LogOptions } from "../observability/log.ts";
import { RecentLog } from "../observability/recent_log.ts";
import { NO_TRACER, type Tracer } from "../observability/tracing.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { isErrTerminal, onErrResumed, writeErr } from "../runtime/process.ts";
import type { LoadedSettings } from "./settings.ts";

/** Creates the log on standard error. Logs the configuration's warnings and which `.env` was read. */
export function openLog(
  settings: Settings,
  { warnings = [], dotEnvPath = "" }: Partial<Pick<LoadedSettings, "warnings" | "dotEnvPath">> = {},
  { currentSpan, onLine }: Pick<LogOptions, "currentSpan" | "onLine"> = {},
): Log {
  const log = createLog({
    clock: SYSTEM_CLOCK,
    write: writeErr,
    level: settings.logLevel,
    format: settings.logJson ?? !isErrTerminal() ? "json" : "text",
    podName: settings.podName,
    version: VERSION,
    ...(currentSpan ? { currentSpan } : {}),
    ...(onLine ? { onLine } : {}),
  });
  onErrResumed((lines) => {
    log.warning("log_dropped", `Remediation: dropped ${lines} log lines because standard error was not read`, {
      lines,
    });
  });
  if (dotEnvPath !== "") {
    log.info("dot_env", `Remediation: read ${dotEnvPath}; environment variables override it`, { path: dotEnvPath });
  }
  for (const warning of warnings) log.warning("config_warning", warning);
  return log;
}

/** Creates the log with a memory of its newest lines, and the tracer. Log lines carry the current span's ids. The caller stops the tracer. */
export async function openObservers(
  loaded: Pick<LoadedSettings, "settings" | "warnings" | "dotEnvPath">,
): Promise<{ log: Log; recentLog: RecentLog; tracer: Tracer }> {
  const { settings } = loaded, recentLog = new RecentLog();
  let tracer = NO_TRACER;
  const log = openLog(settings, loaded, {
    onLine: (line) => recentLog.add(line),
    ...(settings.otelEnabled ? { currentSpan: () => tracer.current() } : {}),
  });
  tracer = await startTracing(settings, { log, clock: SYSTEM_CLOCK });
  return { log, recentLog, tracer };
}
