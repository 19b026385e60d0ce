/** Small parts that several pages show. Pure. */
import type { Child } from "hono/jsx";
import { toOperationError } from "../operations/operation.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import type { Explained } from "./readings.ts";
import { span } from "./format.ts";
import type { Html } from "./page.ts";

/** How a thing is doing, as a colour. */
export type Mood = "good" | "bad" | "warn" | "mute";

/** A short word in a coloured pill. */
export function Chip({ mood = "mute", children }: { mood?: Mood; children?: Child }): Html {
  return <span class={`chip ${mood}`}>{children}</span> as Html;
}

/** A message's reason, in the colour of what it means. `null`: the message names none. */
export function ReasonChip({ reason }: { reason: string | null }): Html {
  if (reason === null) return <span class="k" title="The message names no reason">none</span> as Html;
  const mood = /poison|malformed|unreadable|oversize|invalid/.test(reason) ? "bad" : "blue";
  return <span class={`chip ${mood}`}>{escapeHidden(reason)}</span> as Html;
}

/**
 * An instant. The server writes UTC; the browser shows the reader's zone, with the exact time on hover. `as`: `clock` and
 * `minute` add the date by themselves if it is not today; a `tick` never does.
 */
export function Time({ at, as = "date" }: { at: string; as?: "clock" | "minute" | "tick" | "date" }): Html {
  const text = as === "date" ? `${at.slice(0, 10)} ${at.slice(11, 16)}` : at.slice(11, as === "clock" ? 19 : 16);
  return <time datetime={at} data-time={as} title={at}>{as === "tick" ? text : `${text} UTC`}</time> as Html;
}

/** Text of a message beside our words: what is not visible is escaped, and it cannot turn their direction. */
export function Foreign({ text }: { text: string }): Html {
  return <bdi>{escapeHidden(text)}</bdi> as Html;
}

/** The text of a group: what differs from message to message is masked. */
export function Masked({ text }: { text: string }): Html {
  const shown = escapeHidden(text), parts = shown.split(/•+/);
  return (
    <bdi class="fp" title={shown}>
      {parts.flatMap((part, i) => i === 0 ? [part] : [<i>•••</i>, part])}
    </bdi>
  ) as Html;
}

/** A part of a page in a frame. `aside`: beside its title. `id`: for links to it. */
export function Card(
  { title, aside, children, kind = "", id }: {
    title: string;
    aside?: Child;
    children?: Child;
    kind?: string;
    id?: string;
  },
): Html {
  return (
    <section class={`card ${kind}`} id={id}>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  ) as Html;
}

/** What an empty place says instead of nothing. */
export function Empty({ children }: { children?: Child }): Html {
  return <p class="empty">{children}</p> as Html;
}

/** Why a part cannot be shown now, and what to do: not in the words of a library. */
export function Trouble({ error }: { error: unknown }): Html {
  const text = toOperationError(error)?.message ?? "This part cannot be shown: that is a bug. Load the page again.";
  return <p class="trouble" role="alert">{escapeHidden(text)}</p> as Html;
}

const ICONS = {
  open: "M5 10.5l3.2 3.2L15 7",
  closed: "M6 6l8 8M14 6l-8 8",
  waiting: "M10 6v4l2.5 2",
} as const;

function Icon({ name }: { name: keyof typeof ICONS }): Html {
  return (
    <svg class="i" viewBox="0 0 20 20" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  ) as Html;
}

/** A gate as its station on the way from the DLQ to the target shows it. */
export interface Station {
  readonly name: string;
  readonly open: boolean;
  readonly words: string;
  readonly detail: string;
  readonly since: string | null;
  readonly next: string | null;
}

/** Gates that say nothing while they are open. */
const QUIET: readonly string[] = ["enabled", "redis", "pause", "window", "job"];

/** A source's gates as they hold it: that another instance leads holds only the standby that answers, not the source. */
export function gatesOf({ gates }: Explained): Explained["gates"] {
  return gates.map((gate) => gate.name === "leader" && gate.reason === "standby" ? { ...gate, open: true } : gate);
}

/** The stations of a source; `folds`: the quiet gates are one station while they are open. */
export function stationsOf(explained: Explained, { folds }: { folds: boolean }): readonly Station[] {
  const gates = gatesOf(explained);
  if (!folds) return gates;
  const folded = gates.filter(({ name, open }) => open && QUIET.includes(name));
  const words = "switched on, Redis answers, not paused or frozen, no window";
  const ready: Station = { name: "ready", open: true, words, detail: words, since: null, next: null };
  return [...folded.length === QUIET.length ? [ready] : folded, ...gates.filter((gate) => !folded.includes(gate))];
}

/** The gates as a line of stations. What is behind a closed one waits. */
export function Stations({ of, name, nowMs }: { of: readonly Station[]; name: string; nowMs: number }): Html {
  return (
    <ol class="gates" aria-label={`Gates of ${name}`}>
      {of.map((gate) => (
        <li class={`gate ${gate.open ? "open" : "closed"}`} title={gate.detail}>
          <span class="dot">
            <Icon name={gate.open ? "open" : "closed"} />
          </span>
          <b>
            {gate.name}
            <span class="vh">{gate.open ? " is open" : " is closed"}</span>
          </b>
          <span class="why">{gate.words}</span>
          {!gate.open && gate.since && (
            <span class="since">
              since <Time at={gate.since} as="minute" /> · {span(nowMs - Date.parse(gate.since))}
              {gate.next && Date.parse(gate.next) - nowMs >= 1_000 &&
                ` · asked again in ${span(Date.parse(gate.next) - nowMs)}`}
            </span>
          )}
        </li>
      ))}
    </ol>
  ) as Html;
}
