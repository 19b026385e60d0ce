/** Messages as rows, which open the panel. Pure. */
import type { Child } from "hono/jsx";
import type { Role } from "../config/api_keys.ts";
import type { BrowsedPage } from "../operations/browse.ts";
import type { MessageRow } from "../operations/message_row.ts";
import { bytes, count } from "./format.ts";
import { type MessagesView, PAGE_ROWS, viewPath } from "./messages_view.ts";
import type { Html } from "./page.ts";
import { Empty, Foreign, ReasonChip, Time } from "./parts.tsx";

/** The rows' element: steps of a search are appended to it. */
export const ROWS_ID = "rows";

/** What the rows of a table have in common. */
export interface TableFacts {
  readonly view: MessagesView;
  readonly members: readonly string[];
  readonly nowMs: number;
  /** Whether rows can be selected. */
  readonly isSelectable: boolean;
}

/** The table that scrolls under its head. `children`: its rows. */
export function MessageTable({ facts, children }: { facts: TableFacts; children?: Child }): Html {
  const { members, isSelectable } = facts;
  return (
    <div id="scroll" class="scroll" tabindex={-1}>
      <table class="msgs">
        <thead>
          <tr>
            <th class="pick">
              {isSelectable && (
                <input
                  type="checkbox"
                  id="select-all"
                  aria-label="Select every message that is shown"
                />
              )}
            </th>
            <th class="num">Place</th>
            <th>Time</th>
            <th class="why">Reason</th>
            {members.map((name, i) => <th class={i === members.length - 1 ? "wide" : "member"}>{nameOf(name)}</th>)}
            <th class="num">Failures</th>
            <th class="num">Size</th>
          </tr>
        </thead>
        <tbody id={ROWS_ID} hx-target="#panel">
          {children}
        </tbody>
      </table>
    </div>
  ) as Html;
}

/** One message. */
export function Row(
  { row, facts: { view, members, nowMs, isSelectable } }: { row: MessageRow; facts: TableFacts },
): Html {
  const { id, place, ageMs, reason, failures, sizeBytes, shown } = row;
  const state = { ...view, message: id, near: place }, isOpen = view.message === id && view.near === place;
  return (
    <tr>
      <td class="pick">
        {isSelectable && <input type="checkbox" name="ids" value={id} aria-label={`Select the message at ${place}`} />}
      </td>
      <td class="num">
        <a
          href={viewPath(state)}
          hx-get={viewPath(state, "panel")}
          hx-push-url={viewPath(state)}
          aria-current={isOpen ? "true" : undefined}
          data-row
        >
          {count(place)}
        </a>
      </td>
      <td class="when">{ageMs === null ? "–" : <Time at={new Date(nowMs - ageMs).toISOString()} as="clock" />}</td>
      <td class="why">
        <ReasonChip reason={reason} />
      </td>
      {members.map((name, i) => (
        <td class={i === members.length - 1 ? "wide" : "member"}>
          {shown[name] !== undefined && <Foreign text={String(shown[name])} />}
        </td>
      ))}
      <td class="num">{failures}</td>
      <td class="num">{bytes(sizeBytes)}</td>
    </tr>
  ) as Html;
}

/** Rows of a page with a link to the next one, which is loaded when it is reached. */
export function PageRows({ page, facts }: { page: BrowsedPage; facts: TableFacts }): Html {
  const { view, members } = facts, { order } = view;
  const onward = order === "newest" ? "older" : "newer", next = page[onward];
  const state: MessagesView = { ...view, from: next ?? "", direction: "", message: "", near: null };
  return (
    <>
      {inOrder(page, order).map((row) => <Row row={row} facts={facts} />)}
      {next && (
        <tr
          class="more"
          hx-get={viewPath(state, "rows")}
          hx-trigger="intersect once root:#scroll"
          hx-target="this"
          hx-swap="outerHTML"
        >
          <td colspan={members.length + 6}>
            <a href={viewPath(state)}>{PAGE_ROWS} {onward}</a>
          </td>
        </tr>
      )}
    </>
  ) as Html;
}

/** A page may have been read against the order in which it is shown. */
function inOrder({ rows }: BrowsedPage, order: MessagesView["order"]): readonly MessageRow[] {
  const sign = order === "newest" ? -1 : 1;
  return rows.toSorted((one, other) => sign * (one.place - other.place));
}

/** What is said instead of rows. */
export function NoRows({ view: { query, list, source }, role }: { view: MessagesView; role: Role }): Html {
  if (query !== "") {
    return (
      <Empty>
        No message matches. A value must equal the whole field: <code>host:core*</code>{" "}
        also finds what begins with core.
      </Empty>
    ) as Html;
  }
  if (list === "dlq") {
    return <Empty>The DLQ of {source} is empty: nothing has failed, or all of it has been replayed.</Empty> as Html;
  }
  if (list === "dead") {
    return (
      <Empty>
        The dead list is empty. Messages come here when they have failed too often, cannot be read, or
        {role === "viewer" ? " an operator" : " you"} dead-letter them.
      </Empty>
    ) as Html;
  }
  return <Empty>The target is empty.</Empty> as Html;
}

/** A member's name as the head of a column. */
function nameOf(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
