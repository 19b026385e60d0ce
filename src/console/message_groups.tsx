/** The groups of a list, beside its messages. Pure. */
import { escapeHidden } from "../runtime/control_characters.ts";
import { count, plural, span } from "./format.ts";
import { GroupList } from "./lists.tsx";
import type { FoundGroups } from "./message_search.ts";
import { type MessagesView, viewPath } from "./messages_view.ts";
import type { Html } from "./page.ts";
import { Empty, Masked, ReasonChip, Time } from "./parts.tsx";
import type { FoundGroup } from "./readings.ts";
import type { Step } from "./steps.ts";

/** Elements that the steps of the count fill. */
const GROUPS_ID = "groups", ABOUT_ID = "about";

/** The card. A count that has not ended is followed. */
export function GroupsCard({ view, found }: { view: MessagesView; found: FoundGroups }): Html {
  const path = viewPath({ source: view.source, list: view.list, query: view.query }, "groups");
  return (
    <section class="card groupcard" aria-label="Groups" data-stream={found.total === null ? undefined : path}>
      <div id={GROUPS_ID}>
        <Groups view={view} found={found} />
      </div>
      <p class="pad k when-lost">
        The connection was lost. <a href={viewPath(view)}>Count again</a>
      </p>
    </section>
  ) as Html;
}

function Groups(
  { view, found: { groups, scanned, total, sampled } }: { view: MessagesView; found: FoundGroups },
): Html {
  const matched = groups.reduce((sum, group) => sum + group.count, 0);
  return (
    <>
      <header>
        <h2>Groups</h2>
        <span class="k">{total === null ? plural(matched, "message") : "counting"}</span>
      </header>
      {total !== null && <Counting view={view} scanned={scanned} total={total} />}
      {total === null && groups.length === 0 && <Empty>Messages that failed alike are counted here.</Empty>}
      {groups.length > 0 && (
        <div data-words={wordsOf(groups)}>
          <GroupList groups={groups} selected={groupOf(view)} />
          <p class="pad k">
            {sampled && `Estimated from ${count(scanned)} messages. `}
            Grouped by reason and text, with numbers, addresses and ids masked.
            {groupOf(view) !== null && (
              <>
                {" "}
                <a href={viewPath({ source: view.source, list: view.list })}>All messages</a>
              </>
            )}
          </p>
        </div>
      )}
    </>
  ) as Html;
}

function Counting({ view, scanned, total }: { view: MessagesView; scanned: number; total: number }): Html {
  return (
    <div class="pad k">
      <progress
        max={Math.max(1, total)}
        value={scanned === 0 ? undefined : scanned}
        aria-label="How far the count is"
      />
      <p>{count(scanned)} of {count(total)} looked at</p>
      <noscript>
        <a href={viewPath({ ...view, view: "groups", wait: true })}>Count them all; this takes some seconds</a>
      </noscript>
    </div>
  ) as Html;
}

/** What the messages of a chosen group have in common; `null`: no group is chosen, or it is not known yet. */
export function aboutGroup(
  { view, found, nowMs }: { view: MessagesView; found: FoundGroups; nowMs: number },
): Html | null {
  const chosen = found.groups.find(({ group }) => group === groupOf(view));
  if (!chosen) return null;
  const { text, reason, firstSeen, lastSeen } = chosen;
  const ago = (at: string) => <Time at={at} as="minute" /> as Html;
  return (
    <>
      <Masked text={text || "(no text)"} /> <ReasonChip reason={reason} /> {firstSeen && lastSeen && (
        <span class="k">
          first {ago(firstSeen)}, last {ago(lastSeen)} ({span(nowMs - Date.parse(lastSeen))} ago)
        </span>
      )}
    </>
  ) as Html;
}

/** Markup for what a step of the count changes. */
export function groupSteps({ view, found, nowMs }: {
  view: MessagesView;
  found: FoundGroups;
  nowMs: number;
}): readonly Step[] {
  const about = aboutGroup({ view, found, nowMs });
  return [
    { id: GROUPS_ID, how: "set", html: <Groups view={view} found={found} /> as Html },
    ...about === null ? [] : [{ id: ABOUT_ID, how: "set", html: about } as const],
  ];
}

function groupOf({ query }: MessagesView): string | null {
  return /^group:(g_[0-9a-f]{12})$/.exec(query)?.[1] ?? null;
}

/** Words that the search completes. */
function wordsOf(groups: readonly FoundGroup[]): string {
  return JSON.stringify(groups.map(({ group, text }) => ({ word: `group:${group}`, what: escapeHidden(text) })));
}
