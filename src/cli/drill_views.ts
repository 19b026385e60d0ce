/** How plans, drills and reports look to people. */
import { describeDuration } from "../lifecycle/outage_log.ts";
import type { DrillAnswer } from "../operations/drill.ts";
import type { DrillsOutput } from "../operations/drills.ts";
import type { ShownDrill } from "../operations/shown_drill.ts";
import { formatCount, formatNumber, formatTable, paint, textOf } from "./table.ts";

/** Whether a drill has ended. */
export function hasDrillEnded({ report }: Pick<ShownDrill, "report">): boolean {
  return report !== null;
}

/** A plan: what would happen, and what holds it. */
export function viewDrillPlan({ source, messages, does, heldBy }: DrillAnswer["plan"]): string {
  const lines = [
    `${paint("bold", "drill")} of ${formatCount(messages, "synthetic message")} in ${textOf(source)}`,
    ...does.map((text) => `  ${textOf(text)}`),
    ...heldBy.map(({ gate, words }) => `${paint("yellow", "held by")} ${textOf(gate)}: ${textOf(words)}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** How far a running drill is, in one sentence. */
export function describeStage({ status, gate, messages, seeded, arrived, heldUntil }: ShownDrill): string {
  switch (status) {
    case "holding":
      return `holding: gate ${gate} is closed until ${heldUntil}; ${formatNumber(seeded)} of ${
        formatNumber(messages)
      } messages in the DLQ`;
    case "healing":
      return `healing: ${formatNumber(arrived)} of ${formatNumber(messages)} messages have arrived`;
    default:
      return "cleaning: waits until none of its messages is in the DLQ";
  }
}

/** A drill in some lines. */
export function describeDrill(drill: ShownDrill): string {
  const { id, source, status, report, gate, target, outageSeconds, seeded } = drill;
  const head = `Drill ${textOf(id)} (${textOf(source)}, target ${target}) is ${status}`;
  if (report === null) return `${head}\n${describeStage(drill)}\n`;
  const { arrived, lost, doubled, left, returned, noticeMs, incidentMs, healMs, notices } = report;
  const time = (ms: number | null, otherwise: string) => ms === null ? otherwise : describeDuration(ms);
  const rows = [
    ["outage", `gate ${gate}, ${describeDuration(outageSeconds * 1_000)}`],
    ["time to notice", time(noticeMs, "not noticed")],
    ["time to heal", time(healMs, "not healed")],
    ["arrived", `${formatNumber(arrived)} of ${formatNumber(seeded)}`],
    ["lost", paint(lost > 0 ? "red" : "green", formatNumber(lost))],
    ["doubled", paint(doubled > 0 ? "red" : "green", formatNumber(doubled))],
    ...(returned > 0 ? [["came back", `${formatNumber(returned)} from the consumer`]] : []),
    ...(left > 0 ? [["left in the DLQ", `${formatNumber(left)}; they can never reach the target`]] : []),
    ...(notices === null ? [["notifications", "not configured"]] : [
      ["incident", time(incidentMs, "none")],
      ...notices.map(({ receiver, sent }) => [`notices to ${textOf(receiver)}`, formatNumber(sent)]),
    ]),
  ];
  return `${head}\n${rows.map(([name, value]) => `  ${name!.padEnd(16)} ${value}`).join("\n")}\n`;
}

/** A list of drills. */
export function viewDrills(answer: unknown): string {
  const { drills } = answer as DrillsOutput;
  if (drills.length === 0) return "No drills\n";
  const rows = drills.map(({ id, source, status, messages, report, by, startedAt }) => [
    ...[id, source, status, formatNumber(messages), report === null ? "" : formatNumber(report.lost)],
    ...[report === null ? "" : formatNumber(report.doubled), by, startedAt],
  ]);
  return formatTable(["id", "source", "status", "messages", "lost", "doubled", "by", "started"], rows);
}
