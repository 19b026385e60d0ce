/** Names of variables that look like ours and are not: warnings with the nearest known name. Pure. */
import { environmentPrefixes, knownVariables } from "./fields.ts";

/**
 * Warns of variables that nothing reads: every unknown `REMEDIATION_…`, and names that differ from a known one by a slip. The
 * many other variables of a shared MUTT environment file cause no warning, nor do those that Kubernetes sets for a Service.
 */
export function warnOfUnknown(names: readonly string[]): string[] {
  const known = new Set(knownVariables());
  const prefixes = environmentPrefixes().map((prefix) => prefix.slice(0, -1));
  return [...new Set(names)]
    .filter((name) => !known.has(name) && prefixes.some((prefix) => name.startsWith(prefix)) && !isServiceLink(name))
    .flatMap((name) => warnOf(name, known));
}

function warnOf(name: string, known: ReadonlySet<string>): string[] {
  const isOurs = name.startsWith("REMEDIATION_");
  const [nearest, edits] = nearestTo(name, known);
  const isNear = edits <= (isOurs ? name.length / 4 : Math.min(2, name.length / 8));
  if (isNear) return [`${name} is not known and is ignored: is ${nearest} meant?`];
  return isOurs ? [`${name} is not known and is ignored`] : [];
}

/** `REMEDIATION_SERVICE_HOST`, `REMEDIATION_PORT_8086_TCP_ADDR` and the like. */
function isServiceLink(name: string): boolean {
  return /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)(_|$)/.test(name);
}

function nearestTo(name: string, known: ReadonlySet<string>): readonly [string, number] {
  return [...known].map((one) => [one, countEdits(name, one)] as const)
    .reduce((best, one) => one[1] < best[1] ? one : best);
}

/** How many letters must be put in, taken out or replaced to turn one word into the other (Levenshtein). */
export function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let line = 1; line <= from.length; line++) {
    const next = [line];
    for (let at = 1; at <= to.length; at++) {
      const replaced = row[at - 1]! + (from[line - 1] === to[at - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[at]! + 1, next[at - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
