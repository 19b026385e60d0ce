/** Warns of unknown variables that look like ours, with the nearest known name. Pure. */
import { environmentPrefixes, knownVariables } from "./fields.ts";
import { quote } from "./redact.ts";
import { UNREAD_TEMPLATE_NAMES } from "./template_names.ts";

/** Maximum variables that are reported one by one. */
const MAX_TOLD = 100;

/**
 * Warns of variables that nothing reads: every unknown `REMEDIATION_…`, names one typo away from a known one, and those of
 * {@link UNREAD_TEMPLATE_NAMES} unless the variable that is read instead is set. Other variables of a shared MUTT environment
 * file cause no warning, nor do those that Kubernetes sets for a Service.
 */
export function warnOfUnknown(names: readonly string[]): string[] {
  return [...warnOfTemplateNames(new Set(names)), ...warnOfSlips(names)];
}

/** One warning for all, because a file made from the template has most of them. */
function warnOfTemplateNames(names: ReadonlySet<string>): string[] {
  const unread = [...UNREAD_TEMPLATE_NAMES].filter(([name, meant]) => names.has(name) && !names.has(meant));
  if (unread.length === 0) return [];
  const told = unread.map(([name, meant]) => `${name} (use ${meant})`).join(", ");
  return [`Ignored names from MUTT's template, which MUTT itself does not read: ${told}`];
}

function warnOfSlips(names: readonly string[]): string[] {
  const known = new Set(knownVariables());
  const prefixes = environmentPrefixes().map((prefix) => prefix.slice(0, -1));
  const candidates = [...new Set(names)]
    .filter((name) => !known.has(name) && !UNREAD_TEMPLATE_NAMES.has(name))
    .filter((name) => prefixes.some((prefix) => name.startsWith(prefix)))
    .filter((name) => !isServiceLink(name) && !isOtelLogs(name));
  const warnings: string[] = [];
  for (const name of candidates) {
    if (warnings.length === MAX_TOLD) return [...warnings, "there may be more unknown variables"];
    warnings.push(...warnOf(name, known));
  }
  return warnings;
}

function warnOf(name: string, known: ReadonlySet<string>): string[] {
  const isOurs = name.startsWith("REMEDIATION_");
  const nearest = nearestTo(name, { known, maxEdits: isOurs ? name.length / 4 : Math.min(2, name.length / 8) });
  const shown = shortenName(name);
  if (nearest !== null) return [`${shown} is unknown and ignored: did you mean ${nearest}?`];
  return isOurs ? [`${shown} is unknown and ignored`] : [];
}

/** A variable may be named anything but `=` and NUL. */
function shortenName(name: string): string {
  return /^\w{1,100}$/.test(name) ? name : quote(name);
}

/**
 * Whether a variable is one that Kubernetes sets for a Service (named remediation, say): `REMEDIATION_SERVICE_HOST`,
 * `REMEDIATION_PORT_8086_TCP_ADDR`, and by its value `REMEDIATION_PORT=tcp://…`.
 */
export function isServiceLink(name: string, value = ""): boolean {
  if (/_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)/.test(name)) return true;
  return name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value);
}

/** OpenTelemetry's variables for logs differ by one letter from those for spans. */
function isOtelLogs(name: string): boolean {
  return name.startsWith("OTEL_BLRP_");
}

function nearestTo(
  name: string,
  { known, maxEdits }: { known: ReadonlySet<string>; maxEdits: number },
): string | null {
  let nearest: string | null = null, fewest = Math.floor(maxEdits) + 1;
  for (const one of known) {
    if (Math.abs(one.length - name.length) >= fewest) continue;
    const edits = countEdits(name, one);
    // A name that shares only the prefix is not near.
    if (edits < fewest && edits < one.replace(/^REMEDIATION_/, "").length) [nearest, fewest] = [one, edits];
  }
  return nearest;
}

/** The Levenshtein distance of two words. */
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
