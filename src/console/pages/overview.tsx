/** What is stuck, why, since when, and when it will be drained: every source in one look. */
import { explain } from "../../operations/explain.ts";
import { jobs } from "../../operations/jobs.ts";
import { journal } from "../../operations/journal.ts";
import { slo } from "../../operations/slo.ts";
import { status } from "../../operations/status.ts";
import { count, percent, span } from "../format.ts";
import { SourceSheets } from "../forms.tsx";
import { EntryList, JobList } from "../lists.tsx";
import type { Html, Page, PageVisit } from "../page.ts";
import { Empty, type Mood, Time, Trouble } from "../parts.tsx";
import type { Explained, SourceStatus } from "../readings.ts";
import { Track } from "../track.tsx";

/** Jobs and entries shown here. */
const MOST_JOBS = 4, MOST_ENTRIES = 7;

/** The first page. */
export const overview: Page = {
  path: "/",
  section: "/",
  isLive: true,
  title: () => "Overview",
  async render(visit) {
    const { reader, role, live } = visit;
    const [explained, state, objectives, running, entries] = await Promise.all([
      reader.read(explain, {}),
      reader.read(status, {}),
      reader.read(slo, {}),
      settle(reader.read(jobs, {})),
      settle(reader.read(journal, { limit: MOST_ENTRIES })),
    ]);
    const sources = explained.sources.map((one) => ({
      ...{ explained: one, status: state.sources.find(({ name }) => name === one.source)! },
    }));
    return (
      <>
        {live("figures", <Figures sources={sources} objectives={objectives} visit={visit} /> as Html)}
        <section aria-label="Sources">
          {live("tracks", <Tracks sources={sources} visit={visit} /> as Html)}
        </section>
        <div class="cols">
          {live(
            "jobs",
            (
              <Card title="Jobs" href="/jobs" all="all jobs">
                {isError(running)
                  ? <Trouble error={running} />
                  : <JobList jobs={running.jobs.slice(0, MOST_JOBS)} role={role} next="/" />}
              </Card>
            ) as Html,
          )}
          {live(
            "journal",
            (
              <Card title="Journal" href="/journal" all="all entries">
                {isError(entries) ? <Trouble error={entries} /> : <EntryList entries={entries.entries} />}
              </Card>
            ) as Html,
          )}
        </div>
        {sources.map(({ explained: { source } }) => <SourceSheets source={source} role={role} next="/" />)}
      </>
    ) as Html;
  },
};

interface ShownSource {
  readonly explained: Explained;
  readonly status: SourceStatus;
}

function Tracks({ sources, visit: { role, nowMs } }: { sources: readonly ShownSource[]; visit: PageVisit }): Html {
  if (sources.length === 0) return <Empty>No source is enabled.</Empty> as Html;
  return (
    <div class="tracks">
      {sources.map(({ explained, status }) => (
        <Track explained={explained} status={status} history={null} role={role} nowMs={nowMs} folds next="/" />
      ))}
    </div>
  ) as Html;
}

/** The row of figures. */
function Figures(
  { sources, objectives, visit: { nowMs } }: {
    sources: readonly ShownSource[];
    objectives: Awaited<ReturnType<typeof slo.run>>;
    visit: PageVisit;
  },
): Html {
  const waiting = sources.reduce((sum, { explained: { depth } }) => sum + (depth ?? 0), 0);
  const held = sources.filter(({ explained: { activity } }) => activity === "waiting" || activity === "paused");
  const longest = Math.max(-1, ...sources.map(({ explained: { estimate } }) => estimate.seconds ?? -1));
  const oldest = sources.flatMap(({ explained: { source }, status: { oldest } }) => {
    const at = oldest?.eventTime ?? oldest?.waitingSince;
    return at ? [{ source, at }] : [];
  }).toSorted((one, other) => one.at < other.at ? -1 : 1)[0];
  const held98 = Object.values(objectives.components).filter(({ slo }) => slo === "redrive_success");
  const events = held98.reduce((sum, one) => sum + one.events, 0),
    bad = held98.reduce((sum, one) => sum + one.bad_events, 0);
  return (
    <dl class="tiles">
      <Tile
        name="Waiting"
        value={count(waiting)}
        sub={waiting === 0 ? "every DLQ is empty" : `in ${sources.length} sources`}
      />
      <Tile
        name="Drains in"
        value={waiting === 0 ? "now empty" : longest > 0 ? span(longest * 1_000) : "not known"}
        sub={held.length === 0
          ? ""
          : `without ${held.map(({ explained }) => explained.source).join(", ")}, which is held`}
      />
      <Tile
        name="Oldest"
        value={oldest ? span(nowMs - Date.parse(oldest.at)) : "none"}
        sub={oldest
          ? (
            <>
              in {oldest.source}, from <Time at={oldest.at} as="minute" />
            </>
          ) as Html
          : ""}
      />
      <Tile
        name="Replays that held"
        value={events === 0 ? "none yet" : percent(1 - Math.min(1, bad / events))}
        sub={events === 0 ? "" : `of ${count(events)}; ${count(bad)} came back`}
        mood={events === 0 ? "mute" : bad / events > 0.05 ? "warn" : "good"}
      />
      <Tile name="Objectives" value={objectives.state} sub="" />
    </dl>
  ) as Html;
}

function Tile(
  { name, value, sub, mood = "mute" }: { name: string; value: string; sub: string | Html; mood?: Mood },
): Html {
  return (
    <div class={`tile ${mood}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
      <dd class="sub">{sub}</dd>
    </div>
  ) as Html;
}

function Card({ title, href, all, children }: { title: string; href: string; all: string; children?: unknown }): Html {
  return (
    <section class="card">
      <header>
        <h2>{title}</h2>
        <a href={href}>{all}</a>
      </header>
      {children as Html}
    </section>
  ) as Html;
}

/** A part that cannot be read must not take the others with it. */
async function settle<Value>(reading: Promise<Value>): Promise<Value | Error> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

function isError(value: unknown): value is Error {
  return value instanceof Error;
}
