/**
 * Writes log lines: NDJSON with MUTT's field names and Python's level names, or text for a terminal.
 *
 * Written here because the service needs MUTT's exact fields, an injected clock and several loggers in one process
 * (tests). The available libraries configure one logger per process.
 */
import { escapeHidden } from "../runtime/control_characters.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { SpanIds } from "./tracing.ts";

/** Log levels by Python's names, which MUTT's tools expect, low to high. */
export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Flat extra fields of a line. An `Error` under the key `error` becomes MUTT's `error{type,message,traceback}`. */
export type LogFields = Record<string, unknown>;

/** Writes log lines under one logger name. `event` is a stable snake_case word for filters. */
export interface Log {
  /** Pass a function for a costly message: it runs only if DEBUG is enabled. */
  debug(event: string, message: string | (() => string), fields?: LogFields): void;
  info(event: string, message: string, fields?: LogFields): void;
  warning(event: string, message: string, fields?: LogFields): void;
  error(event: string, message: string, fields?: LogFields): void;
  /** Creates a logger for a part of the service: `child("gates")` of `remediation` is `remediation.gates`. */
  child(name: string): Log;
}

/** Options of {@link createLog}. */
export interface LogOptions {
  readonly clock: Clock;
  /** Receives each line with its final newline. */
  readonly write: (line: string) => void;
  /** Lowest level written. */
  readonly level: LogLevel;
  /** NDJSON or text. */
  readonly format: "json" | "text";
  readonly podName: string;
  readonly version: string;
  /** Called with each line that is written. Default: not called. */
  readonly onLine?: (line: { atMs: number; level: LogLevel; event: string; message: string }) => void;
  /** Returns the current span; JSON lines carry its ids. Default: none. */
  readonly currentSpan?: () => SpanIds | undefined;
}

/**
 * Creates the service's root logger. Logging never throws: a line that cannot be written is dropped, and fields that
 * cannot be formatted are left out. Control characters are escaped, so each call writes exactly one line.
 */
export function createLog(options: LogOptions): Log {
  return loggerNamed("remediation", options);
}

function loggerNamed(name: string, options: LogOptions): Log {
  const lowest = LOG_LEVELS.indexOf(options.level);
  const at = (level: LogLevel) => (event: string, given: string | (() => string), fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(level) < lowest) return;
    try {
      const message = typeof given === "string" ? given : given();
      const line = { level, name, event, message, fields };
      options.onLine?.({ atMs: options.clock.nowMs(), level, event, message: escapeHidden(message) });
      options.write(`${formatSafely(line, options)}\n`);
    } catch {
      // A closed pipe or a full disk. Nothing can be done here.
    }
  };
  return {
    debug: at("DEBUG"),
    info: at("INFO"),
    warning: at("WARNING"),
    error: at("ERROR"),
    child: (part) => loggerNamed(`${name}.${part}`, options),
  };
}

interface Line {
  level: LogLevel;
  name: string;
  event: string;
  message: string;
  fields: LogFields;
}

/** Formats a line. If its fields fail (a cycle, a throwing getter), writes the line without them. */
function formatSafely(line: Line, options: LogOptions): string {
  const format = options.format === "json" ? formatJson : formatText;
  try {
    return format(line, options);
  } catch {
    return format({ ...line, fields: { fields_dropped: true } }, options);
  }
}

function formatJson(line: Line, options: LogOptions): string {
  const { error, ...extras } = line.fields;
  const span = options.currentSpan?.();
  return escapeHidden(toJson({
    timestamp: toIso(options.clock.nowMs()).replace("Z", "+00:00"),
    level: line.level,
    message: line.message,
    logger: line.name,
    module: line.name.slice(line.name.lastIndexOf(".") + 1),
    function: line.event,
    line: 0,
    thread: "main",
    service: "remediation",
    version: options.version,
    pod_name: options.podName,
    correlation_id: "system",
    ...(span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }),
    event: line.event,
    ...extras,
    ...(error === undefined ? {} : { error: describeError(error) }),
  }));
}

/**
 * Formats an error inside a field as type, text and trace only: a Redis client's error also holds the command and its
 * arguments.
 */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, one) => {
    if (typeof one === "bigint") return String(one);
    return one instanceof Error ? describeError(one) : one;
  });
}

function formatText(line: Line, options: LogOptions): string {
  const extras = Object.entries(line.fields).map(([key, value]) =>
    `${key}=${toJson(value instanceof Error ? value.message : value)}`
  ).join(" ");
  return escapeHidden(
    `${toIso(options.clock.nowMs())} - ${line.level} - [${line.name}] - ${line.message}${extras && ` (${extras})`}`,
  );
}

function describeError(error: unknown): { type: string; message: string; traceback: string } {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), traceback: "" };
  return { type: error.name, message: error.message, traceback: error.stack ?? "" };
}
