/** One source in depth: its gates now and over time, its depth, its brake, and the settings that decide. */
import { DRILL_GATES } from "../../operations/drill.ts";
import { drills } from "../../operations/drills.ts";
import { explain } from "../../operations/explain.ts";
import { history } from "../../operations/history.ts";
import { jobs } from "../../operations/jobs.ts";
import { journal } from "../../operations/journal.ts";
import { settings } from "../../operations/settings.ts";
import { status } from "../../operations/status.ts";
import { DepthCard } from "../depth_card.tsx";
import { DrillCard, DrillSheet } from "../drill_card.tsx";
import { FailuresCard } from "../failures_card.tsx";
import { Act, mayDo, Sheet, SourceSheets } from "../forms.tsx";
import { GateChanges, GateTimeline } from "../gate_timeline.tsx";
import { toSourceHistory } from "../history.ts";
import { EntryList, JobList } from "../lists.tsx";
import type { Html, Page, PageVisit } from "../page.ts";
import { Card, gatesOf, Trouble } from "../parts.tsx";
import { type Explained, isError, settle } from "../readings.ts";
import { SourceFacts, SourceSettings } from "../source_facts.tsx";
import { Track } from "../track.tsx";

/** Jobs and entries shown here. */
const MOST_JOBS = 4, MOST_ENTRIES = 8;

/** How far the charts look back. */
const RANGES = {
  "1h": { minutes: 60, points: 120, words: "last hour" },
  "6h": { minutes: 360, points: 180, words: "last 6 hours" },
  "24h": { minutes: 1_440, points: 240, words: "last 24 hours" },
} as const;
type Range = keyof typeof RANGES;

/** A source. */
export const source: Page = {
  path: "/sources/{source}",
  section: "/",
  isLive: true,
  title: ({ params }) => params.source!,
  async render(visit) {
    const { reader, role, live, nowMs, url, params } = visit, name = params.source!, next = url.pathname;
    const range = rangeOf(url), { minutes, points, words } = RANGES[range];
    const [{ sources: [explained] }, state, defined, { sources: [recorded] }, recent, running, entries, drilled] =
      await Promise
        .all([
          reader.read(explain, { source: name }),
          reader.read(status, {}),
          reader.read(settings, {}),
          reader.read(history, { source: name, minutes, points }),
          reader.read(history, { source: name }),
          settle(reader.read(jobs, { source: name })),
          settle(reader.read(journal, { source: name, limit: MOST_ENTRIES })),
          settle(reader.read(drills, { source: name })),
        ]);
    const here = state.sources.find((one) => one.name === name)!;
    const definition = defined.sources.find((one) => one.name === name)!;
    const drawn = toSourceHistory(recent.sources[0]!, definition);
    const depth = { source: name, depth: explained!.depth, recorded: recorded! };
    const track = (
      <Track explained={explained!} status={here} history={drawn} role={role} nowMs={nowMs} folds={false} next={next} />
    );
    return (
      <>
        <p class="crumbs">
          <a href="/">Overview</a> / {name}
        </p>
        <div class="tracks">{live("track", track as Html)}</div>
        <div class="cols">
          {live("depth", <DepthCard title={`Depth, ${words}`} sources={[depth]} aside={<Ranges at={url} />} /> as Html)}
          {live(
            "facts",
            (
              <SourceFacts
                {...{ explained: explained!, status: here, definition, recorded: recorded!, words, nowMs }}
              />
            ) as Html,
          )}
        </div>
        {live(
          "gates",
          (
            <Card title={`Gates that held it, ${words}`} aside={<Ranges at={url} />} kind="row">
              <GateTimeline recorded={recorded!} explained={explained!} />
              <GateChanges changes={recorded!.changes} />
            </Card>
          ) as Html,
        )}
        <div class="cols">
          <SourceSettings definition={definition} settings={defined.settings} />
          {live("failures", <FailuresCard sources={[depth]} failures={visit.failures} nowMs={nowMs} /> as Html)}
        </div>
        <div class="cols">
          {live(
            "jobs",
            (
              <Card title="Jobs" aside={<a href={`/jobs?${new URLSearchParams({ source: name })}`}>all jobs</a>}>
                {isError(running)
                  ? <Trouble error={running} />
                  : <JobList jobs={running.jobs.slice(0, MOST_JOBS)} role={role} next={next} />}
              </Card>
            ) as Html,
          )}
          {live(
            "journal",
            (
              <Card
                title="Journal"
                aside={<a href={`/journal?${new URLSearchParams({ source: name })}`}>all entries</a>}
              >
                {isError(entries) ? <Trouble error={entries} /> : <EntryList entries={entries.entries} />}
              </Card>
            ) as Html,
          )}
        </div>
        {live(
          "drills",
          (isError(drilled)
            ? (
              <Card title="Drills">
                <Trouble error={drilled} />
              </Card>
            )
            : <DrillCard source={name} drills={drilled.drills} role={role} next={next} />) as Html,
        )}
        <SourceSheets source={name} role={role} next={next} />
        <ReplaySheet source={name} visit={visit} />
        <DrillSheet source={name} gates={drillableGates(explained!)} visit={visit} />
      </>
    ) as Html;
  },
};

/** The gates that a drill may hold, in the order of the operation's default. */
function drillableGates(explained: Explained): readonly string[] {
  const names = gatesOf(explained).map(({ name }) => name);
  return DRILL_GATES.filter((gate) => names.includes(gate));
}

function rangeOf(url: URL): Range {
  const asked = url.searchParams.get("range");
  return (Object.keys(RANGES) as Range[]).find((one) => one === asked) ?? "1h";
}

/** Links to the other ranges. */
function Ranges({ at }: { at: URL }): Html {
  const current = rangeOf(at);
  return (
    <nav class="segs" aria-label="Time shown">
      {(Object.keys(RANGES) as Range[]).map((range) => (
        <a
          href={range === "1h" ? at.pathname : `${at.pathname}?range=${range}`}
          aria-current={range === current ? "true" : undefined}
        >
          {range.replace("h", " h")}
        </a>
      ))}
    </nav>
  ) as Html;
}

function ReplaySheet({ source, visit: { role, url } }: { source: string; visit: PageVisit }): Html | null {
  if (!mayDo(role, "operator")) return null;
  return (
    <Sheet id={`replay-${source}`} title={`Begin a cycle of ${source} now`}>
      <p>
        The next cycle begins within 5 seconds instead of waiting for the interval. It passes the same gates and the
        same pace as any other. While a gate is closed, it begins when the gate opens.
      </p>
      <Act operation="replay_now" fields={{ source }} next={url.pathname} kind="sheet">
        <button class="btn go" type="submit">Replay now</button>
      </Act>
    </Sheet>
  ) as Html;
}
