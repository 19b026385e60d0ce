/** Makes the synthetic dead letters of a drill. Pure. */
import { Buffer } from "node:buffer";
import { DRILL_MEMBER, type DrillMark, formatDrillMark } from "./drill_mark.ts";
import { type MemberPath, memberPath } from "./member_path.ts";
import type { SourcePolicy } from "./source_policy.ts";

/** The text of every synthetic message, by which people recognise it and groups keep it apart. */
export const DRILL_TEXT = "Synthetic dead letter of a drill: nothing has happened";

/** A member as JSON value, by name. */
export type DrillShape = Readonly<Record<string, string | number>>;

/** An object of a message. Without a prototype, so that any name is a member. */
interface Members {
  [name: string]: string | number | Members;
}

/**
 * Makes one dead letter of the source, in an envelope if its consumer wraps them. `shape`: members of this source's dead letters. The members
 * that its consumer requires are always there, so that the message is no malformed one. `at`: ISO 8601.
 */
export function makeDrillMessage(
  mark: DrillMark,
  { policy: { required, unwrap = null }, shape, at }: {
    policy: Pick<SourcePolicy, "required" | "unwrap">;
    shape: DrillShape;
    at: string;
  },
): Buffer {
  const whole = newMembers(), inner = unwrap === null ? whole : objectAt(whole, memberPath(unwrap));
  Object.assign(inner, { timestamp: at, hostname: "mutt-remediation-drill", message: DRILL_TEXT, severity: "Notice" });
  Object.assign(inner, shape, { [DRILL_MEMBER]: formatDrillMark(mark) });
  for (const path of required.map(memberPath)) {
    const object = objectAt(whole, path.slice(0, -1)), name = path.at(-1)!;
    object[name] ??= "drill";
  }
  return Buffer.from(JSON.stringify(whole));
}

function newMembers(): Members {
  return Object.create(null);
}

/** Returns the object at a path, and makes it if something else is there. */
function objectAt(whole: Members, path: MemberPath): Members {
  return path.reduce((object, name) => {
    const found = object[name];
    return object[name] = typeof found === "object" ? found : newMembers();
  }, whole);
}
