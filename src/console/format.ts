/** Numbers, sizes and times as people read them. Pure. */

/** `408,813`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `413k`, for axes. */
export function compact(value: number): string {
  for (const [unit, size] of [["M", 1e6], ["k", 1e3]] as const) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(Number(value.toPrecision(3)));
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const;

/** A length of time in at most two units: `6 h 41 min`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const at = UNITS.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [unit, size] = UNITS[at]!, [smaller, small] = UNITS[at + 1] ?? ["", 1];
  const whole = Math.floor(seconds / size), rest = Math.floor((seconds % size) / small);
  return rest === 0 || whole >= 10 || smaller === "" || smaller === "s"
    ? `${whole} ${unit}`
    : `${whole} ${unit} ${rest} ${smaller}`;
}

/** `326 B`, `1.2 MB`. */
export function bytes(size: number): string {
  for (const [unit, of] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const) {
    if (size >= of) return `${(size / of).toFixed(1)} ${unit}`;
  }
  return `${size} B`;
}

/** `36.2/s`, or `4.1/min` for what is slow. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  if (perSecond >= 10) return `${count(perSecond)}/s`;
  return perSecond >= 0.1 ? `${perSecond.toFixed(1)}/s` : `${(perSecond * 60).toFixed(1)}/min`;
}

/** `1 message`, `3 messages`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** `a, b, c and 5 more`: the first names, if there are many. */
export function few(names: readonly string[]): string {
  if (names.length <= MOST_NAMES + 1) return names.join(", ");
  return `${names.slice(0, MOST_NAMES).join(", ")} and ${count(names.length - MOST_NAMES)} more`;
}

/** Names that fit a line. */
const MOST_NAMES = 3;

/** `98.7 %`; never rounded up to 100. */
export function percent(share: number): string {
  const value = share * 100;
  return `${share < 1 ? Math.min(value, 99.99).toFixed(value > 99 ? 2 : 1) : "100"} %`;
}
