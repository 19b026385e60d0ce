/** How settings and sources look to people: a line each, for `config` and `settings`. Pure. */
import type { DescribedSetting, DescribedSource } from "../operations/config.ts";

/** Formats a setting. `width`: of the column of names. */
export function formatSetting({ variable, value, origin }: DescribedSetting, width: number): string {
  return `${variable.padEnd(width)}  ${value || "(not set)"}  [${origin}]`;
}

/** Formats a source. */
export function formatSource({ name, push, dlq, target, dead, gates, windows, origin }: DescribedSource): string {
  const spans = windows.map(({ replay, from, to, timeZone }) => `${replay} ${from} to ${to} ${timeZone}`);
  const held = spans.length === 0 ? "" : `; windows: ${spans.join(", ")}`;
  const pushed = push === "LPUSH" ? "" : `; push: ${push}`;
  return `source ${name}: ${dlq} -> ${target}, dead: ${dead}${pushed}; gates: ${gates.join(", ")}${held}  [${origin}]`;
}
