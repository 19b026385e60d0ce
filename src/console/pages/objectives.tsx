/** The service level objectives: what was promised, what was kept, and how fast the rest is being used up. */
import { slo } from "../../operations/slo.ts";
import type { SloComponent, SloReport } from "../../slo/monitor.ts";
import { Bar } from "../charts.tsx";
import { count, percent, span } from "../format.ts";
import type { Html, Page } from "../page.ts";
import { Card, Chip, Empty, type Mood, Time } from "../parts.tsx";

/** The objectives of every source. */
export const objectives: Page = {
  path: "/objectives",
  section: "/objectives",
  isLive: true,
  title: () => "Objectives",
  async render({ reader, live }) {
    return live("objectives", <Sources report={await reader.read(slo, {})} /> as Html);
  },
};

/** Sources without a missed objective that are shown in full; more are rows that unfold. */
const MOST_UNFOLDED = 4;

const STATES: Readonly<Record<SloComponent["state"], readonly [Mood, string]>> = {
  ok: ["good", "kept"],
  warn: ["warn", "at risk"],
  critical: ["bad", "missed"],
  insufficient_data: ["mute", "too few events"],
};

function Sources({ report: { components, window_hours, pod, since } }: { report: SloReport }): Html {
  const all = Object.values(components), stale = all.flatMap(({ stale_since }) => stale_since ?? []).toSorted()[0];
  const sources = [...new Set(all.map(({ source }) => source))];
  const of = (source: string) => all.filter((one) => one.source === source);
  const kept = sources.filter((source) =>
    of(source).every(({ state }) => state === "ok" || state === "insufficient_data")
  );
  const folded = kept.length > MOST_UNFOLDED ? kept : [];
  return (
    <div class="stack">
      <p class="k">
        The last {count(window_hours)} h, counted since{" "}
        <Time at={since} />. All instances share these counts, and a restart keeps them.
      </p>
      {stale && (
        <p class="k">
          {pod} could not read Redis since <Time at={stale} />: other instances may know more.
        </p>
      )}
      {sources.length === 0 && (
        <Card title="No objectives">
          <Empty>Objectives belong to sources, and no source is enabled.</Empty>
        </Card>
      )}
      {sources.filter((source) => !folded.includes(source)).map((source) => (
        <Card title={source} aside={<a href={`/sources/${encodeURIComponent(source)}`}>its gates</a>}>
          <Objectives of={of(source)} />
        </Card>
      ))}
      {folded.length > 0 && (
        <Card title={`No objective of ${count(folded.length)} sources is missed or at risk`}>
          <ul class="folded">
            {folded.map((source) => <Folded source={source} of={of(source)} />)}
          </ul>
        </Card>
      )}
    </div>
  ) as Html;
}

/** A source in a row that unfolds. */
function Folded({ source, of }: { source: string; of: readonly SloComponent[] }): Html {
  const kept = of.filter(({ state }) => state === "ok").length, unknown = of.length - kept;
  const words = [...(kept > 0 ? [`${kept} kept`] : []), ...(unknown > 0 ? [`${unknown} with too few events`] : [])];
  return (
    <li id={`o-${source}`}>
      <details>
        <summary data-row>
          <b>{source}</b>
          <span class="k">{words.join(", ")}</span>
        </summary>
        <Objectives of={of} />
      </details>
    </li>
  ) as Html;
}

function Objectives({ of }: { of: readonly SloComponent[] }): Html {
  return <ol class="objectives">{of.map((one) => <Objective of={one} />)}</ol> as Html;
}

function Objective({ of }: { of: SloComponent }): Html {
  const { slo, state, target, availability, error_budget_remaining: left } = of, [mood, word] = STATES[state];
  return (
    <li class={mood}>
      <div>
        <h3>{NAMES[slo]}</h3>
        <Chip mood={mood}>{word}</Chip>
      </div>
      <p>
        {SENTENCES[slo](of)} {judge(of)}
      </p>
      <dl>
        <div>
          <dt>so far</dt>
          <dd class="big">{availability === null ? "–" : percent(availability)}</dd>
          <dd class="k">target {percent(target)}</dd>
        </div>
        <div>
          <dt>budget left</dt>
          <dd class="big">{left === null ? "–" : left <= 0 ? "none" : percent(left)}</dd>
          <dd>
            {left !== null && left > 0 ? <Bar share={left} /> : <span class="k">{left === null ? "" : "used up"}</span>}
          </dd>
        </div>
        <div>
          <dt>burn rate</dt>
          <dd class="big">{times(of.burn_rate)}</dd>
          <dd class="k">{`recently ${times(of.recent_burn_rate)}`}</dd>
        </div>
      </dl>
    </li>
  ) as Html;
}

const NAMES: Readonly<Record<SloComponent["slo"], string>> = {
  time_to_drain: "Time to drain",
  oldest_age: "Age of the oldest",
  redrive_success: "Replays that hold",
  downstream_availability: "Moogsoft available",
};

/** What an objective asks for. */
const SENTENCES: Readonly<Record<SloComponent["slo"], (of: SloComponent) => string>> = {
  time_to_drain: (of) => `While messages can move, the backlog should be drained within ${limit(of)}.`,
  oldest_age: (of) => `No dead letter should wait longer than ${limit(of)}.`,
  redrive_success: () => "Replayed messages should not come back.",
  downstream_availability: () => "Moogsoft should accept events whenever it is probed.",
};

function limit({ threshold_seconds = 0 }: SloComponent): string {
  return span(threshold_seconds * 1_000);
}

/** What the counts say. */
function judge(of: SloComponent): string {
  const { events, bad_events, events_needed, state, burn_rate, observed_hours, window_hours, slo } = of;
  const what = slo === "redrive_success" ? "replays" : "samples",
    missed = `${bad_events === 0 ? "None" : count(bad_events)} of ${count(events)} ${what}`;
  if (state === "insufficient_data") {
    return events === 0
      ? `Nothing was counted yet; ${count(events_needed)} ${what} are needed to judge.`
      : `${missed} missed it so far; ${count(events_needed)} ${what} are needed to judge.`;
  }
  const seen = observed_hours < window_hours ? ` in the ${span(observed_hours * 3.6e6)} seen so far` : "";
  if (bad_events === 0) return `All ${count(events)} ${what} met it${seen}.`;
  const rate = burn_rate ?? 0;
  return rate <= 1
    ? `${missed} missed it${seen}, which the target allows.`
    : `${missed} missed it${seen}: ${times(rate)} as many as the target allows.`;
}

function times(rate: number | null): string {
  return rate === null ? "–" : `${Number(rate.toPrecision(rate < 10 ? 2 : 3))}×`;
}
