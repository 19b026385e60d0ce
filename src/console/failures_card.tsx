/** What failed most, over the DLQs of several sources. Pure. */
import { count, few, plural, span } from "./format.ts";
import { GroupList } from "./lists.tsx";
import type { Html, PageVisit } from "./page.ts";
import { Card, Empty, Time, Trouble } from "./parts.tsx";
import { isError, type Recorded } from "./readings.ts";

/** Groups shown here. */
const MOST_GROUPS = 6;

interface CountedSource {
  readonly source: string;
  readonly depth: number | null;
  readonly recorded: Recorded;
}

/** The largest groups. Sources with an empty DLQ are not counted. */
export function FailuresCard(
  { sources, failures, nowMs }: {
    sources: readonly CountedSource[];
    failures: PageVisit["failures"];
    nowMs: number;
  },
): Html {
  const filled = sources.filter(({ depth }) => depth !== 0);
  const all = filled.map(({ source, depth }) => ({ source, depth, latest: failures.latest(source) }));
  const counted = all.flatMap(({ latest }) => latest === null || isError(latest) ? [] : latest);
  // What keeps one from being counted often keeps all.
  const failed = new Map(all.flatMap(({ latest }) => isError(latest) ? [[latest.message, latest]] : []));
  const missing = all.filter(({ latest }) => latest === null);
  const groups = counted.flatMap(({ groups }) => groups).toSorted((one, other) => other.count - one.count);
  const [first] = counted.map(({ countedAt }) => countedAt).toSorted();
  return (
    <Card title="What failed" aside={filled[0] && <a href={groupsPath(filled[0].source)}>all groups</a>}>
      {filled.length === 0 && <NoDeadLetters sources={sources} nowMs={nowMs} />}
      {[...failed.values()].map((error) => <Trouble error={error} />)}
      {groups.length > 0 && <GroupList groups={groups.slice(0, MOST_GROUPS)} />}
      {missing.length > 0 && (
        <Empty>
          {missing.length === 1 && missing[0]!.depth !== null
            ? `Counting ${plural(missing[0]!.depth, "message")} of ${missing[0]!.source}…`
            : `Counting the messages of ${few(missing.map(({ source }) => source))}…`}
        </Empty>
      )}
      {first && (
        <p class="footnote">
          {counted.some(({ isSampled }) => isSampled) ? "Estimated from a sample of " : "Counted over "}
          {count(counted.reduce((sum, { matched }) => sum + matched, 0))} messages at <Time at={first} as="clock" />
          ; numbers, addresses and ids are masked.
        </p>
      )}
    </Card>
  ) as Html;
}

function groupsPath(source: string): string {
  return `/messages?${new URLSearchParams({ source, view: "groups" })}`;
}

function NoDeadLetters({ sources, nowMs }: { sources: readonly CountedSource[]; nowMs: number }): Html {
  const last = sources.flatMap(({ recorded: { lastReplayAt } }) => lastReplayAt ?? []).toSorted().at(-1);
  return (
    <Empty>
      No dead letters.
      {last
        ? ` The last was replayed ${span(nowMs - Date.parse(last))} ago.`
        : " Messages that fail will be grouped here by what went wrong."}
    </Empty>
  ) as Html;
}
