/** Reads a message's own timestamp. It is free text, so only a certain time counts. Pure. */

/** Maximum length of a timestamp, in characters. A longer text is not a time. */
export const MAX_TIME_CHARACTERS = 64;

const ISO_8601 =
  /^(\d{4})-?(\d\d)-?(\d\d)(?:(?:[Tt]| +)(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?)?$/;
const RFC_3164 = /^([A-Za-z]{3}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/;
const EPOCH = /^\d{9,13}(?:\.\d+)?$/;
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/** For a date without a year, this many years before and after the current one are tried: 29 February is at most eight away. */
const YEARS_AROUND = 8;
/** A number from here on counts milliseconds: as seconds it would be in the year 5138. A smaller one counts seconds. */
const FIRST_MILLISECONDS = 1e11;
/** A smaller number is not a time: as seconds it would be before March 1973. */
const FIRST_SECONDS = 1e8;

interface Parts {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
  readonly hour?: number;
  readonly minute?: number;
  readonly second?: number;
  /** Digits after the decimal point of the seconds. */
  readonly fraction?: string;
}

/**
 * Parses a timestamp into milliseconds since the epoch; `undefined` if it is not a time. Accepts ISO 8601 (a date, or date and
 * time; UTC if it names no zone), the `Nov 29 00:09:08` of RFC 3164 (UTC, in the year nearest to `nowMs`), and seconds or
 * milliseconds since the epoch as a number or as digits.
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

/** Milliseconds since the epoch; `undefined` if the day or time does not exist. A leap second counts as the second before it. */
function toMs({ year, month, day, hour = 0, minute = 0, second = 0, fraction = "" }: Parts): number | undefined {
  const isMidnight = hour === 24 && minute === 0 && second === 0;
  if (year < 1 || (hour > 23 && !isMidnight) || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  // `Date.UTC` would read a year below 100 as 19xx.
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const ms = Math.floor(Number(`0.${fraction || "0"}`) * 1_000);
  return date.getTime() + ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1_000 + ms;
}
