/** The depth of sources over time, with the times in which they were held. Pure. */
import type { Child } from "hono/jsx";
import { COLOURS, DepthChart, Legend, type Series } from "./charts.tsx";
import { count } from "./format.ts";
import { borders, isKnown, toSeries } from "./history.ts";
import type { Html } from "./page.ts";
import { Card, Empty, Time } from "./parts.tsx";
import type { Recorded } from "./readings.ts";

/** The chart in its card. `aside`: above the chart, in the place of the legend. */
export function DepthCard(
  { title, sources, aside }: {
    title: string;
    sources: readonly { readonly depth: number | null; readonly recorded: Recorded }[];
    aside?: Child;
  },
): Html {
  const known = sources.filter(({ recorded }) => isKnown(recorded));
  const all = known.map(({ recorded, depth }) => toSeries(recorded, depth)), series = findLargest(all);
  const stale = sources.find(({ recorded }) => recorded.staleSince !== null)?.recorded.staleSince;
  return (
    <Card title={title} aside={aside ?? <Legend series={series} />}>
      {stale && (
        <p class="trouble">
          Redis cannot be read; this is as of <Time at={stale} as="clock" />.
        </p>
      )}
      {known.length === 0
        ? (
          <Empty>
            Nothing is recorded yet. The leader takes a sample every 30 s, so a line begins within a minute.
          </Empty>
        )
        : <DepthChart series={series} {...borders(known[0]!.recorded)} label={describe(series)} />}
      {series.length < all.length && (
        <p class="footnote">Of {count(all.length)} sources, the {COLOURS} with the longest DLQs in this time.</p>
      )}
    </Card>
  ) as Html;
}

/** The series with the largest depths, in the given order: as many as there are colours. */
function findLargest(series: readonly Series[]): readonly Series[] {
  const largest = ({ points }: Series) => Math.max(0, ...points.map(({ value }) => value ?? 0));
  const shown = new Set(series.toSorted((one, other) => largest(other) - largest(one)).slice(0, COLOURS));
  return series.filter((one) => shown.has(one));
}

function describe(series: readonly { readonly name: string; readonly held: readonly unknown[] }[]): string {
  const parts = series.map(({ name, held }) => held.length === 0 ? name : `${name}, held ${held.length} times`);
  return `Messages in the DLQ over time: ${parts.join("; ")}`;
}
