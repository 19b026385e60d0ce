/** A log that records its lines. */
import type { Log } from "../src/observability/log.ts";
import { watchLogLine } from "./secrets_net.ts";

/** A recorded line. */
export interface RecordedLine {
  readonly level: string;
  readonly event: string;
  readonly message: string;
  readonly fields: Record<string, unknown> | undefined;
}

/** Creates a log that appends to `lines`. */
export function recordLog(): { log: Log; lines: RecordedLine[] } {
  const lines: RecordedLine[] = [];
  const at = (level: string) => (event: string, given: string | (() => string), fields?: Record<string, unknown>) => {
    const message = typeof given === "string" ? given : given();
    lines.push({ level, event, message, fields });
    watchLogLine(event, message, fields);
  };
  const log: Log = {
    debug: at("DEBUG"),
    info: at("INFO"),
    warning: at("WARNING"),
    error: at("ERROR"),
    child: () => log,
  };
  return { log, lines };
}
