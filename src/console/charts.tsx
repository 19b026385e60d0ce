/** Charts as SVG, made on the server. Pure. No `style` attribute: the content security policy forbids it. */
import { compact, count } from "./format.ts";
import type { Html } from "./page.ts";

/** A small line without axes. */
export function Spark({ points, mood = "mute" }: { points: readonly number[]; mood?: string }): Html | null {
  if (points.length < 2) return null;
  const top = Math.max(...points, 1), step = 100 / (points.length - 1);
  const line = points.map((value, i) => `${i === 0 ? "M" : "L"}${n(i * step)} ${n(23 - value / top * 21)}`).join("");
  return (
    <svg class={`spark ${mood}`} viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <path class="area" d={`${line}L100 24L0 24Z`} />
      <path d={line} />
    </svg>
  ) as Html;
}

/** A share of a whole as a thin bar. */
export function Bar({ share }: { share: number }): Html {
  return (
    <svg class="share" viewBox="0 0 100 2" preserveAspectRatio="none" aria-hidden="true">
      <rect width={n(Math.max(0.6, Math.min(1, share) * 100))} height="2" />
    </svg>
  ) as Html;
}

/** What a line of a chart shows. */
export interface Series {
  readonly name: string;
  /** Ascending in time. `value` `null`: not known. */
  readonly points: readonly { readonly atMs: number; readonly value: number | null }[];
  /** When it was held. */
  readonly held: readonly { readonly fromMs: number; readonly toMs: number }[];
}

const WIDTH = 760, HEIGHT = 236, LEFT = 48, RIGHT = 12, TOP = 12, BOTTOM = 26;
/** Colours in the style sheet: more lines than these cannot be told apart. */
export const COLOURS = 6;

/** Lines over time; the times when a series was held are shaded, one lane a series so that names do not overlap. */
export function DepthChart(
  { series, fromMs, toMs, label }: { series: readonly Series[]; fromMs: number; toMs: number; label: string },
): Html {
  const values = series.flatMap(({ points }) => points.map(({ value }) => value ?? 0));
  const top = ceiling(Math.max(4, ...values));
  const x = (atMs: number) => LEFT + (atMs - fromMs) / Math.max(1, toMs - fromMs) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      {[0, 0.25, 0.5, 0.75, 1].map((share) => (
        <>
          <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={n(y(share * top))} y2={n(y(share * top))} />
          <text class="tick" x={LEFT - 8} y={n(y(share * top) + 4)} text-anchor="end">{compact(share * top)}</text>
        </>
      ))}
      {[0, 0.25, 0.5, 0.75, 1].map((share) => <Tick share={share} x={x} fromMs={fromMs} toMs={toMs} />)}
      {series.map(({ name, held }, k) =>
        held.map((one, i) => (
          <Band name={name} k={k} lane={i === 0} x={x} fromMs={one.fromMs} toMs={Math.min(one.toMs, toMs)} />
        ))
      )}
      {series.map(({ points }, k) => <Line points={points} k={k} x={x} y={y} />)}
    </svg>
  ) as Html;
}

type Scale = (value: number) => number;

function Tick({ share, x, fromMs, toMs }: { share: number; x: Scale; fromMs: number; toMs: number }): Html {
  const atMs = fromMs + share * (toMs - fromMs), at = new Date(atMs).toISOString();
  const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
  return (
    <text
      class="tick"
      x={n(x(atMs))}
      y={HEIGHT - 6}
      text-anchor={anchor}
      data-time={share === 1 ? undefined : "tick"}
      data-at={at}
    >
      {share === 1 ? "now" : at.slice(11, 16)}
    </text>
  ) as Html;
}

function Band(
  { name, k, lane, x, fromMs, toMs }: {
    name: string;
    k: number;
    lane: boolean;
    x: Scale;
    fromMs: number;
    toMs: number;
  },
): Html {
  const width = Math.max(1, x(toMs) - x(fromMs));
  return (
    <g>
      <rect class={`band s${k % COLOURS}`} x={n(x(fromMs))} width={n(width)} y={TOP} height={HEIGHT - TOP - BOTTOM} />
      {lane && width > 60 && <text class="bandname" x={n(x(fromMs) + 6)} y={TOP + 14 + k * 14}>{`${name} held`}</text>}
    </g>
  ) as Html;
}

function Line({ points, k, x, y }: { points: Series["points"]; k: number; x: Scale; y: Scale }): Html | null {
  const parts = splitAtGaps(points), last = parts.at(-1)?.at(-1);
  if (!last) return null;
  const lines = parts.map((part) =>
    part.map(({ atMs, value }, i) => `${i === 0 ? "M" : "L"}${n(x(atMs))} ${n(y(value))}`).join("")
  );
  const areas = parts.map((part, i) =>
    `${lines[i]}L${n(x(part.at(-1)!.atMs))} ${n(y(0))}L${n(x(part[0]!.atMs))} ${n(y(0))}Z`
  );
  return (
    <g class={`series s${k % COLOURS}`}>
      <path class="area" d={areas.join("")} />
      <path class="line" d={lines.join("")} />
      <circle cx={n(x(last.atMs))} cy={n(y(last.value))} r="3.5" />
    </g>
  ) as Html;
}

/** A line across a gap would show values that were not measured. */
function splitAtGaps(points: Series["points"]): { readonly atMs: number; readonly value: number }[][] {
  const parts: { atMs: number; value: number }[][] = [];
  let isOpen = false;
  for (const { atMs, value } of points) {
    if (value === null) isOpen = false;
    else if (isOpen) parts.at(-1)!.push({ atMs, value });
    else {
      parts.push([{ atMs, value }]);
      isOpen = true;
    }
  }
  return parts;
}

/** The series by name and last value, in their colours. */
export function Legend({ series }: { series: readonly Series[] }): Html {
  return (
    <ul class="legend">
      {series.map(({ name, points }, k) => (
        <li class={`s${k % COLOURS}`}>
          {name} <b>{lastOf(points)}</b>
        </li>
      ))}
    </ul>
  ) as Html;
}

function lastOf(points: Series["points"]): string {
  const last = points.findLast(({ value }) => value !== null)?.value ?? null;
  return last === null ? "?" : count(last);
}

/** The next round number. */
function ceiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return Math.ceil(value / power * 2) / 2 * power;
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
