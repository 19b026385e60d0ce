/** Every instance of the service, and which sources it leads. */
import { replicas, type ReplicasReport, type ShownReplica } from "../../operations/replicas.ts";
import { settings } from "../../operations/settings.ts";
import { plural, span } from "../format.ts";
import type { Html, Page } from "../page.ts";
import { Card, Chip, Time, Trouble } from "../parts.tsx";
import { isError, settle } from "../readings.ts";

/** An instance makes itself known every 10 s; after two missed times it is late, in milliseconds. */
const LATE_MS = 25_000;

/** The replicas. */
export const replicasPage: Page = {
  path: "/replicas",
  section: "/replicas",
  isLive: true,
  title: () => "Replicas",
  async render({ reader, live, nowMs }) {
    const [report, { settings: all }] = await Promise.all([
      settle(reader.read(replicas, {})),
      reader.read(settings, {}),
    ]);
    const lease = all.find(({ variable }) => variable === "REMEDIATION_LEASE_DURATION")!;
    const part = isError(report)
      ? (
        <Card title="Replicas">
          <Trouble error={report} />
        </Card>
      )
      : <Replicas report={report} lease={`${lease.value} ${lease.unit}`} nowMs={nowMs} />;
    return live("replicas", part as Html);
  },
};

function Replicas({ report, lease, nowMs }: { report: ReplicasReport; lease: string; nowMs: number }): Html {
  const { replicas, unled } = report;
  return (
    <div class="stack">
      {unled.length > 0 && (
        <Card title={`No known leader: ${unled.join(", ")}`} kind="mark bad">
          <p class="pad">
            No instance is known to hold the lease. If this lasts, look at the gates <i>redis</i> and <i>leader</i>{" "}
            of the source.
          </p>
        </Card>
      )}
      <Card title={plural(replicas.length, "replica")}>
        <table class="table">
          <thead>
            <tr>
              <th>Instance</th>
              <th>Leads</th>
              <th>Version</th>
              <th>Started</th>
              <th>Last seen</th>
            </tr>
          </thead>
          <tbody>{replicas.map((replica) => <Replica of={replica} nowMs={nowMs} />)}</tbody>
        </table>
        <p class="footnote">
          {replicas.length > 1
            ? `If one dies, another takes over its sources within ${lease}; if it is stopped, within a second. No message is lost or moved twice.`
            : `If it dies, nothing moves until it is started again; no message is lost. A second replica would take over within ${lease}.`}
        </p>
      </Card>
    </div>
  ) as Html;
}

function Replica({ of, nowMs }: { of: ShownReplica; nowMs: number }): Html {
  const { name, pod, version, startedAt, lastSeenAt, leads, isThis } = of;
  const ageMs = lastSeenAt === null ? null : Math.max(0, nowMs - Date.parse(lastSeenAt));
  return (
    <tr>
      <td>
        <b>{pod ?? name}</b> {isThis && <Chip mood="good">this one</Chip>}
        <p class="k mono">{name}</p>
      </td>
      <td data-label={leads.length > 0 ? "leads" : undefined}>
        {leads.length === 0 && <span class="k">stands by</span>}
        {leads.map((source) => (
          <>
            <a href={`/sources/${encodeURIComponent(source)}`} data-row>{source}</a>
            {" "}
          </>
        ))}
      </td>
      <td data-label="version">{version ?? "not known"}</td>
      <td data-label="started">{startedAt === null ? "not known" : <Time at={startedAt} />}</td>
      <td data-label="seen">
        {ageMs === null
          ? "by its lease only"
          : ageMs > LATE_MS
          ? <Chip mood="warn">{`${span(ageMs)} ago`}</Chip>
          : "within 10 s"}
      </td>
    </tr>
  ) as Html;
}
