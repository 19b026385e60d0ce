/**
 * The table of a window's members in the sources file. The parser, the type {@link WindowEntry}, `docs/sources.schema.json` and the
 * table in `docs/configuration.md` are generated from it. Pure.
 */
import Type from "typebox";
import {
  type FileField,
  type FileFields,
  findFaults,
  matching,
  objectSchema,
  oneOf,
  type Spec,
} from "./file_fields.ts";
import { isObject } from "./file_problems.ts";
import { isSpanEnd, isTimeZone, Span, SPAN_END_WANTS, TIME_ZONE_WANTS, whyNoSpan } from "./span.ts";
import { toWindow, WINDOW_DEFAULTS, type WindowRule } from "./window.ts";

/** Maximum number of windows in one list. */
export const MAX_WINDOWS = 50;
/** Maximum length of a reason, in characters. */
const MAX_REASON = 200;
/** One line that is not all blank, without control, invisible and half characters. */
const REASON = {
  pattern: `^(?=.*\\S)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]{1,${MAX_REASON}}$`,
  wants: `one line of 1 to ${MAX_REASON} characters, not all blank`,
};

/** Five fields, or a local date and time. Only the parser knows what may be in the fields. */
const spanEnd = (spec: Spec) =>
  matching(spec, {
    pattern: "^(?=.{1,200}$)(\\s*\\S+(\\s+\\S+){4}\\s*|\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(:\\d\\d)?)$",
    wants: SPAN_END_WANTS,
  });

/** Every member of a window, in the order of the documentation. */
export const WINDOW_FIELDS = {
  from: spanEnd({
    doc: "Start: a cron expression of five fields (the window repeats) or a local date and time (it happens once).",
    initialText: null,
  }),
  to: spanEnd({ doc: "End, in the same form. It does not belong to the window any more.", initialText: null }),
  timeZone: matching({
    doc: "Time zone of both, whose wall clock they follow.",
    initialText: `\`${WINDOW_DEFAULTS.timeZone}\``,
  }, { pattern: "^[A-Za-z0-9_+/-]{1,64}$", wants: TIME_ZONE_WANTS }),
  replay: oneOf({
    doc: "`never`: no replay inside. `only`: replay only inside; of several such windows one must be open.",
    initialText: `\`${WINDOW_DEFAULTS.replay}\``,
  }, ["never", "only"]),
  reason: matching({ doc: "Why, for those who see the closed gate.", initialText: null }, REASON),
} satisfies FileFields;

/** Name of a window's member. */
export type WindowMember = keyof typeof WINDOW_FIELDS;

const MEMBERS = Object.keys(WINDOW_FIELDS) as readonly WindowMember[];
/** What a schema cannot say of a member. */
const CHECKS: Partial<Record<WindowMember, (text: string) => boolean>> = {
  ...{ from: isSpanEnd, to: isSpanEnd, timeZone: isTimeZone },
};

/** Schema of one window in the file; `$defs` has it as `window`. */
export const WINDOW_ENTRY = objectSchema(WINDOW_FIELDS, { description: "A window." });

/** One window in the file, with only the members that it names. */
export interface WindowEntry {
  readonly from: string;
  readonly to: string;
  readonly timeZone?: string;
  readonly replay?: WindowRule;
  readonly reason: string;
}

/** Creates the schema of a list of windows. */
export function createWindowsSchema(description: string): Type.TArray<Type.TUnsafe<WindowEntry>> {
  const item = Type.Unsafe<WindowEntry>(Type.Ref("#/$defs/window"));
  return Type.Array(item, { description, maxItems: MAX_WINDOWS });
}

/** A valid list of windows; completes "is not". */
export const WINDOWS_WANTS = `a list of at most ${MAX_WINDOWS} windows`;
/** A valid window; completes "is not". */
export const WINDOW_WANTS = "an object with from, to and reason";

/** A problem in a list of windows: where it is, and either a bad value and what is wanted, or what is wrong. */
export type WindowFault =
  & { readonly path: readonly (string | number)[] }
  & ({ readonly value: unknown; readonly wants: string } | { readonly text: string });

/** Finds every problem of a list of windows; empty if it is valid. */
export function findWindowFaults(value: unknown): readonly WindowFault[] {
  if (!Array.isArray(value) || value.length > MAX_WINDOWS) return [{ path: [], value, wants: WINDOWS_WANTS }];
  return value.flatMap((item: unknown, at) =>
    faultsOf(item).map((fault): WindowFault => ({ ...fault, path: [at, ...fault.path] }))
  );
}

function faultsOf(item: unknown): readonly WindowFault[] {
  if (!isObject(item)) return [{ path: [], value: item, wants: WINDOW_WANTS }];
  const unknown = Object.keys(item).filter((name) => !Object.hasOwn(WINDOW_FIELDS, name)).map((name) => ({
    ...{ path: [name], text: `is unknown: use one of ${MEMBERS.join(", ")}` },
  }));
  const faults = [...unknown, ...MEMBERS.flatMap((name) => faultsOfMember(name, item))];
  if (faults.length > 0) return faults;
  const { from, to, timeZone } = toWindow(item as unknown as WindowEntry), wants = whyNoSpan({ from, to, timeZone });
  return wants === null ? [] : [{ path: ["to"], value: to, wants }];
}

function faultsOfMember(name: WindowMember, item: Readonly<Record<string, unknown>>): readonly WindowFault[] {
  const { wants, initialText }: FileField = WINDOW_FIELDS[name], value = item[name];
  if (!Object.hasOwn(item, name)) return initialText === null ? [{ path: [name], text: `is missing: ${wants}` }] : [];
  const isWrong = findFaults(WINDOW_FIELDS[name], value).length > 0 || CHECKS[name]?.(value as string) === false;
  return isWrong ? [{ path: [name], value, wants }] : [];
}

/** Warns of windows that are over, by their place in the list. `nowMs`: this machine's clock. */
export function warnOfWindows(windows: readonly WindowEntry[], nowMs: number): readonly { at: number; text: string }[] {
  return windows.flatMap((entry, at) => {
    const window = toWindow(entry), { isInside, changesAtMs } = new Span(window).at(nowMs);
    if (isInside || changesAtMs !== null) return [];
    const effect = window.replay === "only" ? "it lets nothing be replayed any more" : "it has no effect";
    return [{ at, text: `is over since ${window.to} (${window.timeZone}): ${effect}` }];
  });
}
