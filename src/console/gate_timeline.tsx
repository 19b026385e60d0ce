/** When each gate held a source: a lane a gate, and the last changes. Pure. */
import { plural, span } from "./format.ts";
import { borders, type Closure, closuresOf, type Interval, unknownTimes } from "./history.ts";
import type { Html } from "./page.ts";
import { Empty, gatesOf, Time } from "./parts.tsx";
import type { Explained, Recorded } from "./readings.ts";

/** Changes shown here. */
const MOST_CHANGES = 8;
/** Units of a lane's drawing. */
const WIDTH = 1_000, HEIGHT = 16;

/** A lane for each gate that was closed; the others in words. */
export function GateTimeline({ recorded, explained }: { recorded: Recorded; explained: Explained }): Html {
  const { fromMs, toMs } = borders(recorded), endMs = toMs + recorded.stepSeconds * 1_000;
  const lanes = gatesOf(explained).map(({ name, open, words }) => ({
    ...{ name, isOpen: open },
    closures: closuresOf(recorded, name, open ? null : words),
  }));
  const closed = lanes.filter(({ closures }) => closures.length > 0);
  const others = lanes.filter(({ closures }) => closures.length === 0).map(({ name }) => name);
  return (
    <div class="lanes">
      {closed.map((lane) => <Lane {...lane} unknown={unknownTimes(recorded)} fromMs={fromMs} endMs={endMs} />)}
      {closed.length > 0 && (
        <div class="lane ticks" aria-hidden="true">
          <span></span>
          <span>
            {[0, 0.25, 0.5, 0.75].map((share) => (
              <Time at={new Date(fromMs + share * (endMs - fromMs)).toISOString()} as="tick" />
            ))}
            <i>now</i>
          </span>
        </div>
      )}
      {others.length > 0 && <p class="k">Not seen to hold it in this time: {others.join(", ")}.</p>}
    </div>
  ) as Html;
}

function Lane(
  { name, isOpen, closures, unknown, fromMs, endMs }: {
    name: string;
    isOpen: boolean;
    closures: readonly Closure[];
    /** Times without a sample. */
    unknown: readonly Interval[];
    fromMs: number;
    endMs: number;
  },
): Html {
  const heldMs = closures.reduce((sum, closure) => sum + closure.toMs - closure.fromMs, 0);
  const words = `${plural(closures.length, "time")}, ${span(heldMs)} in all`;
  const x = (atMs: number) => Math.round((Math.min(atMs, endMs) - fromMs) / (endMs - fromMs) * WIDTH * 10) / 10;
  const place = (one: Interval) => ({ x: x(one.fromMs), width: Math.max(2, x(one.toMs) - x(one.fromMs)) });
  return (
    <div class="lane">
      <b class={isOpen ? "" : "closed"}>{name}</b>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${name}: ${words}`}>
        <rect class="open" width={WIDTH} height={HEIGHT} />
        {unknown.map((one) => (
          <rect class="unknown" {...place(one)} height={HEIGHT}>
            <title>no sample</title>
          </rect>
        ))}
        {closures.map((one) => (
          <rect class="closed" {...place(one)} height={HEIGHT}>
            <title>{`closed for ${span(one.toMs - one.fromMs)}${one.words === null ? "" : `: ${one.words}`}`}</title>
          </rect>
        ))}
      </svg>
      <span class="k">{words}</span>
    </div>
  ) as Html;
}

/** The last changes of the gates, the newest first. */
export function GateChanges({ changes }: Pick<Recorded, "changes">): Html {
  if (changes.length === 0) {
    return <Empty>No gate was seen to open or close in this time.</Empty> as Html;
  }
  return (
    <ol class="changes">
      {changes.slice(-MOST_CHANGES).reverse().map(({ at, gate, open, words }) => (
        <li>
          <Time at={at} as="clock" />
          <b>{gate}</b>
          <span class={open ? "good" : "bad"}>{open ? "opened" : "closed"}</span>
          <span class="k">{open ? `was closed: ${words}` : words}</span>
        </li>
      ))}
    </ol>
  ) as Html;
}
