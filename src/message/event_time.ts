/** Reads the time that a message gives of itself. Free text, so only what is surely a time counts. Pure. */

/** Most characters that are looked at. */
export const MAX_TIME_CHARACTERS = 64;

const ISO_8601 =
  /^(\d{4})-?(\d\d)-?(\d\d)(?:(?:[Tt]| +)(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?)?$/;
const RFC_3164 = /^([A-Za-z]{3}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/;
const EPOCH = /^\d{9,13}(?:\.\d+)?$/;
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/** Years to either side that are looked at for a date without one: 29 February is eight years off at most. */
const YEARS_AROUND = 8;
/** From here on a number counts milliseconds; below they would be in 1973, and seconds in the year 5138. */
const FIRST_MILLISECONDS = 1e11;
/** A smaller number counts something else: as seconds it would be before March 1973. */
const FIRST_SECONDS = 1e8;

interface Parts {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  readonly hour?: number;
  readonly minute?: number;
  readonly second?: number;
  /** Digits behind the point. */
  readonly fraction?: string;
}

/**
 * Milliseconds since the epoch; `undefined`: it is not known. Read are ISO 8601 (a date, or date and time; without a zone it is
 * UTC), the `Nov 29 00:09:08` of RFC 3164 (UTC, in the year that is nearest to `nowMs`), and seconds or milliseconds since the epoch,
 * as a number or in digits.
 */
export function parseEventTime(value: string | number, nowMs: number): number | undefined {
  if (typeof value === "number") return readEpoch(value);
  const text = value.trim();
  if (text.length > MAX_TIME_CHARACTERS) return undefined;
  return EPOCH.test(text) ? readEpoch(Number(text)) : readIso(text) ?? readSyslog(text, nowMs);
}

function readEpoch(value: number): number | undefined {
  if (!(value >= FIRST_SECONDS && value < FIRST_MILLISECONDS * 100)) return undefined;
  return Math.floor(value < FIRST_MILLISECONDS ? value * 1_000 : value);
}

function readIso(text: string): number | undefined {
  const [whole, year, month, day, hour, minute, second, fraction, zone] = ISO_8601.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const [, sign, hours = "0", minutes = "0"] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone ?? "") ?? [];
  if (Number(hours) > 23 || Number(minutes) > 59) return undefined;
  const atMs = toMs({
    ...{ year: Number(year), month: Number(month), day: Number(day) },
    ...{ hour: Number(hour ?? 0), minute: Number(minute ?? 0), second: Number(second ?? 0), fraction: fraction ?? "" },
  });
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000;
  return atMs === undefined ? undefined : atMs - (sign === "-" ? -offsetMs : offsetMs);
}

function readSyslog(text: string, nowMs: number): number | undefined {
  const [whole, name, day, hour, minute, second, fraction] = RFC_3164.exec(text) ?? [];
  const month = MONTHS.indexOf((name ?? "").toLowerCase()) + 1;
  if (whole === undefined || month === 0) return undefined;
  const thisYear = new Date(nowMs).getUTCFullYear();
  const years = Array.from({ length: 2 * YEARS_AROUND + 1 }, (_, at) => thisYear - YEARS_AROUND + at);
  const found = years.flatMap((year) => {
    const time = { hour: Number(hour), minute: Number(minute), second: Number(second), fraction: fraction ?? "" };
    return toMs({ year, month, day: Number(day), ...time }) ?? [];
  });
  return found.sort((a, b) => Math.abs(a - nowMs) - Math.abs(b - nowMs))[0];
}

/** `undefined` where there is no such day or time. A leap second counts as the one before it. */
function toMs({ year, month, day, hour = 0, minute = 0, second = 0, fraction = "" }: Parts): number | undefined {
  const isMidnight = hour === 24 && minute === 0 && second === 0;
  if (year < 1 || (hour > 23 && !isMidnight) || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  // `Date.UTC` takes years below 100 for those of the last century.
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const ms = Math.floor(Number(`0.${fraction || "0"}`) * 1_000);
  return date.getTime() + ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1_000 + ms;
}
