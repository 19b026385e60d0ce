/**
 * Log lines: NDJSON with MUTT's field names and Python's level names, or text for a terminal.
 *
 * Written here because MUTT's exact fields, an injected clock and several services in one process (tests) are needed;
 * the libraries at hand configure one logger for the whole process. Swap it here, nowhere else.
 */
import { escapeHidden } from "../runtime/control_characters.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import type { SpanIds } from "./tracing.ts";

/** Levels by Python's names, which MUTT's tools expect, low to high. */
export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Flat extras of a line. An `Error` under the key `error` becomes MUTT's `error{type,message,traceback}`. */
export type LogFields = Record<string, unknown>;

/** Writes log lines under one name. `event` is a stable snake_case word that tools can filter on. */
export interface Log {
  /** A message that costs something to make is given as a function: it is only called where DEBUG is written. */
  debug(event: string, message: string | (() => string), fields?: LogFields): void;
  info(event: string, message: string, fields?: LogFields): void;
  warning(event: string, message: string, fields?: LogFields): void;
  error(event: string, message: string, fields?: LogFields): void;
  /** A logger for a part of the service: `child("gates")` of `remediation` is `remediation.gates`. */
  child(name: string): Log;
}

/** What {@link createLog} needs. */
export interface LogOptions {
  readonly clock: Clock;
  /** Receives each line, with its final newline. */
  readonly write: (line: string) => void;
  /** Lines below this level are not written. */
  readonly level: LogLevel;
  /** NDJSON, or text for people. */
  readonly format: "json" | "text";
  readonly podName: string;
  readonly version: string;
  /** The span that a line is written in; a JSON line carries its ids. Default: none. */
  readonly currentSpan?: () => SpanIds | undefined;
}

/**
 * Creates the service's root logger. A line that cannot be written is dropped, and of one whose fields cannot be shown the
 * fields are: logging never stops the service. Whatever a text holds, a line is one line, in JSON one object.
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
      options.write(`${formatSafely(line, options)}\n`);
    } catch {
      // A closed pipe or a full disk: nothing better can be done from here.
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

/** Fields are whatever a caller had at hand: one that refers to itself, or throws when it is read, must not cost the line. */
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

/** An error within a field prints as type, text and trace, without what hangs on it: with a client's that is the command, arguments and all. */
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
