/** How settings and sources look to people: a line each, for `config` and `settings`. Pure. */
import type { DescribedSetting, DescribedSource } from "../operations/config.ts";

/** Formats a setting. `width`: of the column of names. */
export function formatSetting({ variable, value, origin }: DescribedSetting, width: number): string {
  return `${variable.padEnd(width)}  ${value || "(not set)"}  [${origin}]`;
}

/** Formats a source. */
export function formatSource({ name, dlq, target, dead, gates, origin }: DescribedSource): string {
  return `source ${name}: ${dlq} -> ${target}, dead: ${dead}; gates: ${gates.join(", ")}  [${origin}]`;
}
