/** Members of the dead letters of MUTT's services, for the synthetic ones of a drill. */
import { isBuiltIn } from "../config/sources.ts";
import { DRILL_TEXT, type DrillShape } from "../message/drill_message.ts";

const SHAPES = {
  /** An event that the alerter gave up after four attempts (contract §1.3). */
  alerter: { source_type: "syslog", syslog_severity: 5, _retry_count: 4 },
  /** An alert that the forwarder gave up after six attempts (contract §1.4). */
  moog: { team_assignment: "NETO", message_body: DRILL_TEXT, _moog_retry_count: 6 },
} as const;

/** Returns the members of a source's dead letters; of a declared source, none. */
export function drillShape(source: string): DrillShape {
  return isBuiltIn(source) ? SHAPES[source] : {};
}
