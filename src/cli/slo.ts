/** `mutt-remediation slo`: prints the service level objectives of the service on this machine. */
import type { Command } from "commander";
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import type { SloComponent, SloReport } from "../slo/monitor.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Adds the command. */
export function addSloCommand(program: Command, context: CliContext): void {
  program.command("slo")
    .description("Ask the service on this machine how its service level objectives stand")
    .option("--json", "print the full answer of /api/v1/slo")
    .addHelpText(
      "after",
      `
Asks /api/v1/slo on the loopback address and HEALTH_PORT_REMEDIATION; docs/slos.md explains the numbers.

Exit codes: 0 no objective is critical; 1 at least one is; 69 no answer, or an unknown one.

Examples:
  mutt-remediation slo
  mutt-remediation slo --json | jq '.components[] | select(.state == "critical")'`,
    )
    .action(async ({ json }: { json?: true }) => {
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      const { askService } = await NEEDS.askService();
      const answer = await askService(loaded.settings, { path: "/api/v1/slo", accept: "application/json" });
      const report = answer.ok && answer.status === 200 ? readReport(answer.text) : null;
      if (!report) {
        const why = answer.ok ? `The service answered ${answer.status} without its objectives` : answer.why;
        writeErr(`${why}\n`);
        context.exitCode = EXIT.unavailable;
        return;
      }
      context.exitCode = report.state === "critical" ? EXIT.failed : EXIT.done;
      writeOut(json ? `${JSON.stringify(report)}\n` : formatReport(report));
    });
}

/** Parses the response, which may come from an older version or from another program. */
function readReport(text: string): SloReport | null {
  try {
    const report = JSON.parse(text);
    return typeof report?.state === "string" && typeof report.components === "object" && report.components !== null
      ? report
      : null;
  } catch {
    return null;
  }
}

const HEAD = ["state", "objective", "target", "actual", "burn", "recently", "budget left", "events"];

function formatReport({ state, components, window_hours, pod, since }: SloReport): string {
  const rows = [HEAD, ...Object.entries(components).map(([name, component]) => formatRow(name, component))];
  const widths = HEAD.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd());
  const end = `${state}: the last ${window_hours} h, counted since ${since}; ${pod} answered`;
  return [...lines, end, ...describeStale(components), ""].join("\n");
}

/** Says which counts are old. An older version reports no `stale_since`. */
function describeStale(components: SloReport["components"]): string[] {
  const stale = Object.values(components).filter(({ stale_since }) => stale_since);
  const names = [...new Set(stale.map(({ source }) => source))].join(", ");
  const since = stale.map(({ stale_since }) => stale_since!).toSorted()[0];
  return since === undefined ? [] : [`${names}: Redis could not be read since ${since}; other instances may know more`];
}

function formatRow(name: string, component: SloComponent): string[] {
  const { state, target, availability, burn_rate, recent_burn_rate, error_budget_remaining } = component;
  const { events, bad_events, events_needed } = component;
  const few = events < events_needed ? `, needs ${events_needed}` : "";
  return [
    ...[state, name, percent(target), percent(availability), times(burn_rate), times(recent_burn_rate)],
    ...[
      percent(error_budget_remaining),
      `${bad_events} bad of ${events}${few}`,
    ],
  ];
}

function percent(share: number | null): string {
  return share === null ? "-" : `${Math.round(share * 10_000) / 100} %`;
}

function times(rate: number | null): string {
  return rate === null ? "-" : `${Math.round(rate * 100) / 100}x`;
}
