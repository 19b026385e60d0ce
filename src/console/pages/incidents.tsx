/** What is wrong now, what was in the last day, and who is notified. */
import { incidents, type IncidentsReport, type ShownIncident } from "../../operations/incidents.ts";
import { receivers, type ReceiversReport, type ShownReceiver } from "../../operations/receivers.ts";
import type { Role } from "../../config/api_keys.ts";
import { count, plural, span } from "../format.ts";
import { Act, mayDo } from "../forms.tsx";
import type { Html, Page } from "../page.ts";
import { Card, Chip, Empty, Foreign, type Mood, Time, Trouble } from "../parts.tsx";
import { isError, settle } from "../readings.ts";

/** The incidents. */
export const incidentsPage: Page = {
  path: "/incidents",
  section: "/incidents",
  isLive: true,
  title: () => "Incidents",
  async render({ reader, live, role, nowMs }) {
    const [report, told] = await Promise.all([
      settle(reader.read(incidents, {})),
      settle(reader.read(receivers, {})),
    ]);
    const list = isError(report)
      ? (
        <Card title="Incidents">
          <Trouble error={report} />
        </Card>
      )
      : <Incidents report={report} nowMs={nowMs} />;
    const shown = isError(told)
      ? (
        <Card title="Receivers">
          <Trouble error={told} />
        </Card>
      )
      : <Receivers report={told} role={role} nowMs={nowMs} />;
    return (
      <div class="stack">
        {live("incidents", list as Html)}
        {live("receivers", shown as Html)}
      </div>
    ) as Html;
  },
};

/** Sources of which an incident shows an example, and incidents of the card above the overview. */
const MOST_GROUPS = 3, MOST_OPEN = 3;
/** Sources that an incident names. */
const MOST_SOURCES = 8;
const MOODS: Readonly<Record<ShownIncident["severity"], Mood>> = { critical: "bad", warning: "warn", info: "mute" };

/** Incidents that go on, as a card above others; `null`: there is none. `leads`: to the page with all of them. */
export function OpenIncidents(
  { report, nowMs, leads = true }: { report: IncidentsReport; nowMs: number; leads?: boolean },
): Html | null {
  const open = report.incidents.filter(({ endedAt }) => endedAt === null);
  if (open.length === 0) return null;
  const worst = open.some(({ severity }) => severity === "critical") ? "bad" : "warn";
  return (
    <Card
      title={plural(open.length, "open incident")}
      kind={`mark ${worst}`}
      aside={leads && <a href="/incidents">all incidents</a>}
    >
      <ol class="incidents">
        {open.slice(0, leads ? MOST_OPEN : open.length).map((incident) => <Incident of={incident} nowMs={nowMs} />)}
      </ol>
    </Card>
  ) as Html;
}

function Incidents({ report, nowMs }: { report: IncidentsReport; nowMs: number }): Html {
  const over = report.incidents.filter(({ endedAt }) => endedAt !== null);
  return (
    <div class="stack">
      <OpenIncidents report={report} nowMs={nowMs} leads={false} />
      {over.length === report.incidents.length && (
        <Card title="No open incident">
          <Empty>
            {report.notifier === null
              ? "No instance watches for incidents now: Redis cannot be reached, or the service has just started."
              : "Nothing is wrong that the rules know of."}
          </Empty>
        </Card>
      )}
      <Card title="Over in the last 24 hours">
        {over.length === 0
          ? <Empty>None.</Empty>
          : <ol class="incidents">{over.map((incident) => <Incident of={incident} nowMs={nowMs} />)}</ol>}
        {report.notifier !== null && <p class="footnote">{report.notifier} watches, for all instances.</p>}
      </Card>
    </div>
  ) as Html;
}

function Incident({ of, nowMs }: { of: ShownIncident; nowMs: number }): Html {
  const { id, kind, cause, severity, sources, beganAt, endedAt, detail, groups } = of;
  const lengthMs = (endedAt === null ? nowMs : Date.parse(endedAt)) - Date.parse(beganAt);
  const isMoment = endedAt === beganAt;
  return (
    <li class={endedAt === null ? MOODS[severity] : "mute"}>
      <div>
        <Chip mood={endedAt === null ? MOODS[severity] : "mute"}>{NAMES[kind](cause)}</Chip>{" "}
        {sources.slice(0, MOST_SOURCES).map((source) => (
          <>
            <a href={`/sources/${encodeURIComponent(source)}`} data-row>{source}</a>
            {" "}
          </>
        ))}
        {sources.length > MOST_SOURCES && <span class="k">and {count(sources.length - MOST_SOURCES)} more</span>}
      </div>
      <p>
        <Foreign text={detail} />
      </p>
      {groups.slice(0, MOST_GROUPS).map(({ source, count: messages, sample }) =>
        sample && (
          <p class="k">
            {source}: {count(messages)}, such as{" "}
            <a href={`/messages?${new URLSearchParams({ source, list: "dead", message: sample.id })}`}>
              {sample.id}
            </a>{" "}
            <Foreign text={sample.text} />
          </p>
        )
      )}
      <p class="k">
        {isMoment ? <Time at={beganAt} /> : (
          <>
            since <Time at={beganAt} /> · {endedAt === null ? span(lengthMs) : `over after ${span(lengthMs)}`}
          </>
        )} · <span class="mono">{id}</span>
      </p>
    </li>
  ) as Html;
}

const NAMES: Readonly<Record<ShownIncident["kind"], (cause: string) => string>> = {
  dead: (cause) => `dead: ${cause}`,
  gate_closed: (cause) => `gate ${cause}`,
  depth: () => "deep DLQ",
  age: () => "old messages",
  stalled: () => "stalled",
  job_failed: () => "job failed",
  job_finished: () => "job done",
  config_rejected: () => "configuration rejected",
  no_leader: () => "no leader",
};

function Receivers(
  { report: { receivers: all }, role, nowMs }: { report: ReceiversReport; role: Role; nowMs: number },
): Html {
  return (
    <Card title="Receivers">
      {all.length === 0
        ? (
          <Empty>
            Nobody is notified. Describe receivers in a file that <code>REMEDIATION_NOTIFY_PATH</code>{" "}
            names: Slack, e-mail, Teams, PagerDuty, a webhook, or Alertmanager.
          </Empty>
        )
        : (
          <table class="table">
            <thead>
              <tr>
                <th>Receiver</th>
                <th>State</th>
                <th>Sent</th>
                <th>Waiting</th>
                <th>Given up</th>
                <th>Last sent</th>
                {mayDo(role, "operator") && <th>Try</th>}
              </tr>
            </thead>
            <tbody>{all.map((receiver) => <Receiver of={receiver} role={role} nowMs={nowMs} />)}</tbody>
          </table>
        )}
    </Card>
  ) as Html;
}

function Receiver({ of, role, nowMs }: { of: ShownReceiver; role: Role; nowMs: number }): Html {
  const { name, type, sent, waiting, dropped, lastSentAt, failing } = of;
  return (
    <tr>
      <td>
        <b>{name}</b> <span class="k">{type}</span>
      </td>
      <td data-label="state">
        {failing === null ? <Chip mood={sent > 0 ? "good" : "mute"}>{sent > 0 ? "works" : "not used yet"}</Chip> : (
          <>
            <Chip mood="bad">{failing.code}</Chip>{" "}
            <span class="k">
              <Foreign text={failing.problem} /> For {span(nowMs - Date.parse(failing.since))}; tried{" "}
              {count(failing.tries)} times.
            </span>
          </>
        )}
      </td>
      <td data-label="sent">{count(sent)}</td>
      <td data-label="waiting">{count(waiting)}</td>
      <td data-label="given up">{count(dropped)}</td>
      <td data-label="last sent">{lastSentAt === null ? "never" : <Time at={lastSentAt} />}</td>
      {mayDo(role, "operator") && (
        <td data-label="try">
          <Act operation="test_receiver" fields={{ receiver: name }}>
            <button class="btn" type="submit">Send a test</button>
          </Act>
        </td>
      )}
    </tr>
  ) as Html;
}
