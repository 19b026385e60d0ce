/** Entries of the journal that unfold: every member, with links to jobs and messages. Pure. */
import type { Child } from "hono/jsx";
import { escapeHidden } from "../runtime/control_characters.ts";
import type { Html } from "./page.ts";
import { jobPath } from "./lists.tsx";
import { Time } from "./parts.tsx";
import type { JournalEntry } from "./readings.ts";

/** The entries, in the order given. */
export function Entries({ entries }: { entries: readonly JournalEntry[] }): Html {
  return <ol class="entries">{entries.map((entry) => <Entry {...entry} />)}</ol> as Html;
}

function Entry(entry: JournalEntry): Html {
  const { at, kind, text, source, members, journal, id } = entry;
  return (
    <li id={`e-${journal}-${source ?? ""}-${id}`}>
      <details>
        <summary data-row>
          <Time at={at} as="clock" />
          <span class={`kind ${kind}`}>{kind}</span>
          <bdi>{escapeHidden(text)}</bdi>
          <span class="k">{escapeHidden(String(source ?? members.actor ?? ""))}</span>
        </summary>
        <dl class="members">
          <Member name="journal">{`${journal} ${id}`}</Member>
          {Object.entries(members).map(([name, value]) => (
            <Member name={name}>{describeMember({ name, value, source })}</Member>
          ))}
        </dl>
      </details>
    </li>
  ) as Html;
}

function Member({ name, children }: { name: string; children?: Child }): Html {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  ) as Html;
}

/** Members that name messages. */
const MESSAGES: readonly string[] = ["samples", "messages"];

function describeMember({ name, value, source }: { name: string; value: unknown; source: string | null }): Child {
  if (value === null || value === "") return <span class="k">none</span>;
  if (Array.isArray(value) && value.length === 0) return <span class="k">none</span>;
  if (name === "job" && source !== null && typeof value === "string") {
    return <a href={jobPath({ source, id: value })}>{escapeHidden(value)}</a>;
  }
  if (MESSAGES.includes(name) && source !== null && Array.isArray(value)) {
    return value.map((id) => (
      <a class="mono" href={`/messages?${new URLSearchParams({ source, message: String(id) })}`}>
        {escapeHidden(String(id))}
        {" "}
      </a>
    ));
  }
  return <bdi class="mono">{escapeHidden(typeof value === "object" ? JSON.stringify(value) : String(value))}</bdi>;
}
