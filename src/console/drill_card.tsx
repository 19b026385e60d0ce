/** Drills of a source: the running one, the last reports, and the sheet that starts one. */
import type { ShownDrill } from "../operations/shown_drill.ts";
import { plural, span } from "./format.ts";
import { Act, mayDo, Opener, ReasonField, Sheet } from "./forms.tsx";
import type { Html, PageVisit } from "./page.ts";
import { Card, Chip, Empty, Foreign, type Mood, Time } from "./parts.tsx";

/** Drills shown. */
const MOST_DRILLS = 3;
/** Lengths of the outage to choose from, in seconds. */
const OUTAGES = [["30", "30 seconds"], ["60", "1 minute"], ["300", "5 minutes"], ["900", "15 minutes"]] as const;
const DRILL_MOODS: Readonly<Record<ShownDrill["status"], Mood>> = {
  ...{ holding: "warn", healing: "warn", cleaning: "warn", healed: "good", timed_out: "bad", cancelled: "mute" },
};

/** The card. It may be in a live part: it only has an opener and forms without fields. */
export function DrillCard(
  { source, drills, role, next }: {
    source: string;
    drills: readonly ShownDrill[];
    role: PageVisit["role"];
    next: string;
  },
): Html {
  const isRunning = drills.some(({ report }) => report === null);
  const opener = mayDo(role, "admin") && !isRunning && <Opener sheet={`drill-${source}`}>Start a drill…</Opener>;
  return (
    <Card title="Drills" aside={opener || undefined}>
      {drills.length === 0
        ? <Empty>No drill in the last 7 days. A drill rehearses an outage with synthetic messages.</Empty>
        : (
          <ol class="jobs">
            {drills.slice(0, MOST_DRILLS).map((drill) => <DrillRow drill={drill} role={role} next={next} />)}
          </ol>
        )}
    </Card>
  ) as Html;
}

function DrillRow({ drill, role, next }: { drill: ShownDrill; role: PageVisit["role"]; next: string }): Html {
  const { id, source, status, messages, by, startedAt, report } = drill;
  const mayCancel = (status === "holding" || status === "healing") && mayDo(role, "operator");
  return (
    <li class="job">
      <div>
        <b>{plural(messages, "message")}</b> <Chip mood={DRILL_MOODS[status]}>{status.replace("_", " ")}</Chip>
        <span class="k">
          · <Foreign text={by} />, <Time at={startedAt} as="minute" />
        </span>
      </div>
      <div class="prog">
        <span>{report === null ? describeStage(drill) : describeReport(report)}</span>
        {mayCancel && (
          <Act operation="drills_cancel" fields={{ source, id }} next={next}>
            <button class="btn" type="submit">Cancel</button>
          </Act>
        )}
      </div>
    </li>
  ) as Html;
}

function describeStage({ status, gate, arrived, messages, seeded }: ShownDrill): string {
  if (status === "holding") return `Gate ${gate} is held; ${seeded} of ${messages} messages are in the DLQ`;
  return status === "healing" ? `${arrived} of ${messages} have arrived` : "Its messages are cleaned up";
}

function describeReport(report: NonNullable<ShownDrill["report"]>): string {
  const { arrived, lost, doubled, left, noticeMs, healMs, notices } = report;
  const parts = [
    `${arrived} arrived, ${lost} lost, ${doubled} doubled`,
    noticeMs === null ? "not noticed" : `noticed after ${span(noticeMs)}`,
    healMs === null ? "not healed" : `healed after ${span(healMs)}`,
    notices === null
      ? "notifications are not configured"
      : plural(notices.reduce((sum, { sent }) => sum + sent, 0), "notice"),
    ...(left > 0 ? [`${left} left in the DLQ`] : []),
  ];
  return parts.join("; ");
}

/** The sheet that starts a drill. Its text is the plan. */
export function DrillSheet(
  { source, gates, visit: { role, url } }: { source: string; gates: readonly string[]; visit: PageVisit },
): Html | null {
  if (!mayDo(role, "admin")) return null;
  return (
    <Sheet id={`drill-${source}`} title={`Rehearse an outage of ${source}`}>
      <p>
        A gate is held closed, and marked synthetic messages are pushed to the DLQ. When the gate is free again, replay
        moves them to a list of the drill, where they are counted by number. Then they are dropped.
      </p>
      <Act operation="drill" fields={{ source }} next={url.pathname} kind="sheet">
        <ReasonField placeholder="weekly drill" />
        <label class="field">
          Synthetic messages
          <input type="number" name="messages" min="1" max="10000" placeholder="100, or one batch if that is smaller" />
        </label>
        <label class="field">
          Length of the outage
          <select name="outageSeconds">
            {OUTAGES.map(([seconds, words]) => <option value={seconds} selected={seconds === "60"}>{words}</option>)}
          </select>
        </label>
        <label class="field">
          Gate to hold
          <select name="gate">{gates.map((gate) => <option value={gate}>{gate}</option>)}</select>
        </label>
        <label class="field">
          Where the messages go
          <select name="target">
            <option value="mock" selected>To a list of the drill</option>
            <option value="real">To the real target: the consumer gets them</option>
          </select>
        </label>
        <label class="check">
          <input type="checkbox" name="confirm" value="true" required /> Real messages of {source}{" "}
          wait during the outage too
        </label>
        <button class="btn go" type="submit">Start the drill</button>
      </Act>
    </Sheet>
  ) as Html;
}
