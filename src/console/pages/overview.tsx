/** What is stuck, why, since when, and when it will be drained: every source in one look. */
import { explain } from "../../operations/explain.ts";
import { history } from "../../operations/history.ts";
import { incidents } from "../../operations/incidents.ts";
import { jobs } from "../../operations/jobs.ts";
import { journal } from "../../operations/journal.ts";
import { settings } from "../../operations/settings.ts";
import { slo } from "../../operations/slo.ts";
import { status } from "../../operations/status.ts";
import { DepthCard } from "../depth_card.tsx";
import { FailuresCard } from "../failures_card.tsx";
import { EverySource, SourceSheets } from "../forms.tsx";
import { toSourceHistory } from "../history.ts";
import { EntryList, JobList } from "../lists.tsx";
import type { Html, Page, PageVisit } from "../page.ts";
import { Card, Trouble } from "../parts.tsx";
import { isError, type JournalEntry, settle } from "../readings.ts";
import { OpenIncidents } from "./incidents.tsx";
import { Figures, type ShownSource } from "../figures.tsx";
import { Tracks } from "../tracks.tsx";

/** Jobs and entries shown here. */
const MOST_JOBS = 4, MOST_ENTRIES = 6;
const HOUR = 60, DAY = 1_440;

/** The first page. */
export const overview: Page = {
  path: "/",
  section: "/",
  isLive: true,
  title: () => "Overview",
  async render(visit) {
    const { reader, role, live } = visit;
    const [objectives, wrong, running, entries, sources] = await Promise.all([
      reader.read(slo, {}),
      settle(reader.read(incidents, { open: true })),
      settle(reader.read(jobs, {})),
      settle(readNews(visit)),
      readSources(visit),
    ]);
    const shown = sources.map(({ explained: { source, depth }, recorded }) => ({ source, depth, recorded }));
    const jobsCard = (
      <Card title="Jobs" aside={<a href="/jobs">all jobs</a>}>
        {isError(running)
          ? <Trouble error={running} />
          : <JobList jobs={running.jobs.slice(0, MOST_JOBS)} role={role} next="/" />}
      </Card>
    );
    const journalCard = (
      <Card title="Journal" aside={<a href="/journal">all entries</a>}>
        {isError(entries) ? <Trouble error={entries} /> : <EntryList entries={entries} />}
      </Card>
    );
    return (
      <>
        {live("incidents", isError(wrong) ? null : OpenIncidents({ report: wrong, nowMs: visit.nowMs }))}
        {live("figures", <Figures sources={sources} objectives={objectives} nowMs={visit.nowMs} /> as Html)}
        <section aria-label="Sources">
          {sources.length > 1 && <EverySource role={role} next="/" />}
          {live("tracks", <Tracks sources={sources} role={visit.role} nowMs={visit.nowMs} /> as Html)}
        </section>
        <div class="cols">
          {live("depth", <DepthCard title="Depth, last hour" sources={shown} /> as Html)}
          {live("failures", <FailuresCard sources={shown} failures={visit.failures} nowMs={visit.nowMs} /> as Html)}
        </div>
        <div class="cols">
          {live("jobs", jobsCard as Html)}
          {live("journal", journalCard as Html)}
        </div>
        {sources.map(({ explained: { source } }) => <SourceSheets source={source} role={role} next="/" />)}
      </>
    ) as Html;
  },
};

/** The newest entries. Of the moves only the last one: there are several a second, and they would hide everything else. */
async function readNews({ reader }: Pick<PageVisit, "reader">): Promise<readonly JournalEntry[]> {
  const [moves, others] = await Promise.all([
    reader.read(journal, { journals: ["moves"], limit: 1 }),
    reader.read(journal, { journals: ["audit", "incidents"], limit: MOST_ENTRIES - 1 }),
  ]);
  return [...moves.entries, ...others.entries].toSorted((one, other) => one.at < other.at ? 1 : -1);
}

async function readSources({ reader }: PageVisit): Promise<ShownSource[]> {
  const [explained, state, defined, hour, day] = await Promise.all([
    reader.read(explain, {}),
    reader.read(status, {}),
    reader.read(settings, {}),
    reader.read(history, { minutes: HOUR }),
    reader.read(history, { minutes: DAY, points: 1 }),
  ]);
  return explained.sources.flatMap((one): ShownSource[] => {
    const { source } = one, here = state.sources.find(({ name }) => name === source);
    const definition = defined.sources.find(({ name }) => name === source);
    const recorded = hour.sources.find((other) => other.source === source);
    const today = day.sources.find((other) => other.source === source);
    // A source may have been removed between two of these readings.
    if (!here || !definition || !recorded || !today) return [];
    const drawn = toSourceHistory(recorded, definition);
    return [{ explained: one, status: here, recorded, drawn, deadToday: today.totals.buried }];
  });
}
