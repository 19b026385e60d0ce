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
    return live("objectives", <Objectives report={await reader.read(slo, {})} /> as Html);
  },
};

const STATES: Readonly<Record<SloComponent["state"], readonly [Mood, string]>> = {
  ok: ["good", "kept"],
  warn: ["warn", "at risk"],
  critical: ["bad", "missed"],
  insufficient_data: ["mute", "too few events"],
};

function Objectives({ report: { components, window_hours, pod, since } }: { report: SloReport }): Html {
  const all = Object.values(components), sources = [...new Set(all.map(({ source }) => source))];
  return (
    <div class="stack">
      <p class="k">
        {pod} has counted since <Time at={since} /> over the last {count(window_hours)}{" "}
        h. Each instance counts what it has seen itself; Prometheus adds them up.
      </p>
      {sources.length === 0 && (
        <Card title="No objectives">
          <Empty>Objectives belong to sources, and no source is enabled.</Empty>
        </Card>
      )}
      {sources.map((source) => (
        <Card title={source} aside={<a href={`/sources/${encodeURIComponent(source)}`}>its gates</a>}>
          <ol class="objectives">
            {all.filter((one) =>
              one.source === source
            ).map((one) => <Objective of={one} />)}
          </ol>
        </Card>
      ))}
    </div>
  ) as Html;
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
  const { events, bad_events, events_needed, state, burn_rate, observed_hours, window_hours, role, slo } = of;
  if (role === "standby" && (slo === "time_to_drain" || slo === "redrive_success")) {
    return "This instance is a standby and moves nothing: the leader counts this.";
  }
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
