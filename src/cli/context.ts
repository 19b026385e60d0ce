/** Context, settings and log of the commands. */
import { type Loaded, loadSettings } from "../config/load.ts";
import type { Settings } from "../config/fields.ts";
import { EXIT } from "../runtime/exit.ts";
import { startTracing } from "../app/tracing.ts";
import { VERSION } from "../app/version.ts";
import { createLog, type Log, type LogOptions } from "../observability/log.ts";
import { NO_TRACER, type Tracer } from "../observability/tracing.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { isErrTerminal, onErrResumed, writeErr } from "../runtime/process.ts";

type Good = Extract<Loaded, { ok: true }>;

/** State of a running command: its exit code and the signal to stop. */
export interface CliContext {
  readonly signal: AbortSignal;
  /** Registers a SIGHUP listener. Without one SIGHUP ends the process. */
  readonly onHangup: (listener: () => void) => void;
  exitCode: number;
}

/** Loads the settings. If any are invalid, prints all problems, sets the exit code and returns `null`. */
export function settingsOrExit(context: CliContext): Good | null {
  const loaded = loadSettings();
  if (loaded.ok) return loaded;
  writeErr("The configuration is invalid; nothing was started:\n");
  for (const problem of loaded.problems) writeErr(`  ${problem}\n`);
  for (const warning of loaded.warnings) writeErr(`warning: ${warning}\n`);
  context.exitCode = EXIT.configuration;
  return null;
}

/** Creates the log on standard error. Logs the configuration's warnings and which `.env` was read. */
export function openLog(
  settings: Settings,
  { warnings = [], dotEnvPath = "" }: Partial<Pick<Good, "warnings" | "dotEnvPath">> = {},
  { currentSpan }: Pick<LogOptions, "currentSpan"> = {},
): Log {
  const log = createLog({
    clock: SYSTEM_CLOCK,
    write: writeErr,
    level: settings.logLevel,
    format: settings.logJson ?? !isErrTerminal() ? "json" : "text",
    podName: settings.podName,
    version: VERSION,
    ...(currentSpan ? { currentSpan } : {}),
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

/** Creates the log and the tracer. Log lines carry the current span's ids. The caller stops the tracer. */
export async function openObservers(
  loaded: Pick<Good, "settings" | "warnings" | "dotEnvPath">,
): Promise<{ log: Log; tracer: Tracer }> {
  const { settings } = loaded;
  let tracer = NO_TRACER;
  const log = openLog(settings, loaded, settings.otelEnabled ? { currentSpan: () => tracer.current() } : {});
  tracer = await startTracing(settings, { log, clock: SYSTEM_CLOCK });
  return { log, tracer };
}
