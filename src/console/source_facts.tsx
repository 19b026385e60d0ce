/** What there is to know about a source beside its gates: estimate, oldest message, brake, counts, settings. Pure. */
import type { Child } from "hono/jsx";
import { SECRET_MEMBERS } from "../message/mask.ts";
import { count, plural, rate, span } from "./format.ts";
import type { Html } from "./page.ts";
import { Card, Chip, type Mood, Time } from "./parts.tsx";
import type { Explained, Recorded, Setting, SourceInForce, SourceStatus } from "./readings.ts";

/** Where a rate is from. */
const BASES: Readonly<Record<NonNullable<Explained["estimate"]["basis"]>, string>> = {
  observed: "as observed in the last minutes",
  pace: "what the pace allows",
  batch: "by batch size and interval",
};

/** The facts in words. */
export function SourceFacts(
  { explained, status, definition, recorded, words, nowMs }: {
    explained: Explained;
    status: SourceStatus;
    definition: SourceInForce;
    recorded: Recorded;
    words: string;
    nowMs: number;
  },
): Html {
  const facts: readonly (readonly [string, Child])[] = [
    ["Drained", <Drained explained={explained} nowMs={nowMs} />],
    ["Oldest message", <Oldest status={status} nowMs={nowMs} />],
    ["Brake", <Brake of={definition.brake} />],
    ["Pace", describePace(definition.pace)],
    ["Next cycle", <NextCycle status={status} nowMs={nowMs} />],
    ["Led by", status.leader ?? (status.role === "off" ? "leader election is off" : "no instance is known to lead")],
    ...explained.pause ? [["Paused", <Held by={explained.pause} />] as const] : [],
    ...explained.freeze ? [["Frozen", <Held by={explained.freeze} />] as const] : [],
    [`In the ${words}`, <Totals totals={recorded.totals} />],
  ];
  return (
    <Card title="At a glance">
      <dl class="glance">
        {facts.map(([name, what]) => (
          <div>
            <dt>{name}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Card>
  ) as Html;
}

function Drained({ explained: { estimate, depth }, nowMs }: { explained: Explained; nowMs: number }): Html {
  const { seconds, perSecond, basis, reason } = estimate;
  if (seconds === null) return <>cannot be said: {reason}</> as Html;
  if (depth === 0 || perSecond === null) return <>the DLQ is empty</> as Html;
  return (
    <>
      in about <b>{span(seconds * 1_000)}</b>, at{" "}
      <Time
        at={new Date(nowMs + seconds * 1_000).toISOString()}
        as="minute"
      />, if nothing arrives meanwhile
      <small>{` ${rate(perSecond)}${basis ? `, ${BASES[basis]}` : ""}`}</small>
    </>
  ) as Html;
}

function Oldest({ status: { name, oldest }, nowMs }: { status: SourceStatus; nowMs: number }): Html {
  if (oldest === null) return <>none: the DLQ is empty</> as Html;
  const { waitingSince, eventTime } = oldest;
  const ago = (at: string) => (
    <>
      {span(nowMs - Date.parse(at))} (<Time at={at} as="minute" />)
    </>
  );
  return (
    <>
      {waitingSince && <>has waited here for {ago(waitingSince)}</>}
      {waitingSince && eventTime && ", "}
      {eventTime && <>is {ago(eventTime)} old by its own time</>}{" "}
      <a href={`/messages?${new URLSearchParams({ source: name, from: "oldest" })}`}>look at it</a>
    </>
  ) as Html;
}

const BRAKE_MOODS: Readonly<Record<NonNullable<SourceInForce["brake"]>["state"], Mood>> = {
  ...{ healthy: "good", suspect: "bad", canary: "warn", ramping: "warn" },
};

function Brake({ of }: { of: SourceInForce["brake"] }): Html {
  if (of === null) return <>not known: the source has not been read yet</> as Html;
  const { state, words, allowance } = of;
  return (
    <>
      <Chip mood={BRAKE_MOODS[state]}>{state}</Chip> {words}
      {allowance !== null && `; at most ${plural(allowance, "message")} a cycle`}
    </>
  ) as Html;
}

function describePace({ intervalSeconds, batchSize, mostPerSecond }: SourceInForce["pace"]): string {
  const most = batchSize === 0 ? "the whole DLQ" : `up to ${plural(batchSize, "message")}`;
  const limit = mostPerSecond === null ? "" : `, at most ${rate(mostPerSecond)}`;
  return `${most} every ${span(intervalSeconds * 1_000)}${limit}`;
}

function NextCycle({ status: { nextCycle, lastCycle }, nowMs }: { status: SourceStatus; nowMs: number }): Html {
  if (nextCycle === null) return <>not known yet</> as Html;
  const inMs = Date.parse(nextCycle) - nowMs;
  return (
    <>
      {inMs > 1_000 ? `due in ${span(inMs)}` : "due"}
      {lastCycle && (
        <>
          ; the last began at <Time at={lastCycle} as="clock" />
        </>
      )}
    </>
  ) as Html;
}

/** A pause or a freeze. */
function Held({ by: { by, reason, until } }: { by: NonNullable<Explained["pause"]> }): Html {
  return (
    <>
      by {by} until <Time at={until} as="minute" />: <bdi>{reason}</bdi>
    </>
  ) as Html;
}

function Totals({ totals: { arrived, replayed, cameBack, buried } }: Pick<Recorded, "totals">): Html {
  return (
    <>
      {arrived !== null && `about ${count(arrived)} arrived, `}
      {`${count(replayed)} replayed, ${count(cameBack)} came back, ${count(buried)} given up`}
    </>
  ) as Html;
}

/** A line of a source's settings. */
interface Line {
  readonly name: string;
  readonly value: string;
  readonly origin: string;
}

/** The settings that decide what this source does, and where each comes from. */
export function SourceSettings(
  { definition, settings }: { definition: SourceInForce; settings: readonly Setting[] },
): Html {
  const lines = linesOf(definition, settings);
  return (
    <Card title="Settings in force" aside={<a href="/settings">all settings</a>}>
      <table class="table">
        <thead>
          <tr>
            <th>Setting</th>
            <th>Value</th>
            <th>From</th>
          </tr>
        </thead>
        <tbody>
          {lines.map(({ name, value, origin }) => (
            <tr>
              <td>{name}</td>
              <td class="mono">{value}</td>
              <td class="k" data-label="from">{origin}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  ) as Html;
}

function linesOf(definition: SourceInForce, settings: readonly Setting[]): Line[] {
  const { push, dlq, target, dead, maxReplays, maxPerSecond, targetMaxDepth, healthUrl } = definition;
  const { unwrap, required, secret, windows, origin } = definition;
  const own = (name: string, value: string): Line => ({ name, value, origin });
  const variable = (name: string, wanted: string, instead: string | null = null): Line => {
    const { value = "", unit = "", origin: from = "" } = settings.find(({ variable }) => variable === wanted) ?? {};
    const text = value === "" ? "the source's default" : Number.isNaN(Number(value)) ? value : `${value} ${unit}`;
    return instead === null ? { name, value: text, origin: `${wanted} (${from})` } : own(name, instead);
  };
  const text = (value: number | string | null) => value === null ? null : String(value);
  return [
    ...[own("Dead-letter queue", dlq), own("Target", target), own("Dead list", dead)],
    ...push === "LPUSH" ? [] : [own("Pushed by", push)],
    variable("Interval", "REMEDIATION_INTERVAL"),
    variable("Messages a cycle", "REMEDIATION_BATCH_SIZE"),
    variable("Failures until poison", "MAX_POISON_RETRIES", text(maxReplays)),
    variable("Most a second", "REMEDIATION_MAX_PER_SECOND", text(maxPerSecond)),
    variable("Most in the target", "REMEDIATION_TARGET_MAX_DEPTH", text(targetMaxDepth)),
    ...healthUrl === "" ? [] : [own("Health URL", healthUrl)],
    ...unwrap === null ? [] : [own("Replayed instead of the message", unwrap)],
    ...required.length === 0 ? [] : [own("Members it must have", required.join(", "))],
    own("Hidden members", [...SECRET_MEMBERS, ...secret].join(", ")),
    ...windows.map(({ replay, from, to, timeZone, reason }) => ({
      name: replay === "never" ? "No replay" : "Replay only",
      value: `${from} to ${to}, ${timeZone}: ${reason}`,
      origin: "sources file",
    })),
  ];
}
