/** The parts of the page of messages that have addresses of their own. */
import { LIST_WORDS } from "../message/source_policy.ts";
import { OVERRIDABLE_GATES } from "../operations/job_plan.ts";
import { browse } from "../operations/browse.ts";
import { explain } from "../operations/explain.ts";
import { journal } from "../operations/journal.ts";
import { OperationError } from "../operations/operation.ts";
import { show } from "../operations/show.ts";
import { count, plural } from "./format.ts";
import { Act, mayDo, OVERRIDE_FIELD, ReasonField } from "./forms.tsx";
import { Changes, RawMessage } from "./message_editor.tsx";
import { MessagePanel, PanelTrouble } from "./message_panel.tsx";
import { PageRows } from "./message_table.tsx";
import { type MessagesView, pageInput, readView } from "./messages_view.ts";
import type { Html, PagePart, PageVisit } from "./page.ts";
import { VERBS, type VerbWords } from "./verbs.ts";

/** Entries of the journal in the panel. */
const MOST_ENTRIES = 10;

/** More rows. */
export const rowsPart: PagePart = {
  method: "GET",
  async render(visit) {
    const { reader, url, nowMs, role } = visit, view = readView(url.searchParams, []);
    const page = await reader.read(browse, pageInput(view));
    const isSelectable = canSelect(view, role);
    if (page.movedOn) return <MovedOn colspan={page.members.length + 6} /> as Html;
    return <PageRows page={page} facts={{ view, members: page.members, nowMs, isSelectable }} /> as Html;
  },
};

function MovedOn({ colspan }: { colspan: number }): Html {
  return (
    <tr class="more">
      <td colspan={colspan}>The list has moved on: these messages have left it. Load the page again.</td>
    </tr>
  ) as Html;
}

/** Whether anything can be done with messages of the list. */
export function canSelect({ list }: MessagesView, role: PageVisit["role"]): boolean {
  return VERBS.some((one) => one.lists.includes(list) && mayDo(role, one.role));
}

/** The panel; empty without a message. */
export const panelPart: PagePart = {
  method: "GET",
  render: (visit) => renderPanel(visit, readView(visit.url.searchParams, [])),
};

/** Renders the message of a state. */
export async function renderPanel({ reader, role }: PageVisit, view: MessagesView): Promise<Html> {
  const { source, list, message: id, near } = view;
  if (id === "") return "" as unknown as Html;
  try {
    const [shown, { entries }] = await Promise.all([
      reader.read(show, { source, list, id, ...near === null ? {} : { near } }),
      reader.read(journal, { message: id, limit: MOST_ENTRIES }),
    ]);
    return <MessagePanel view={view} shown={shown} entries={entries} role={role} /> as Html;
  } catch (error) {
    if (!(error instanceof OperationError) || error.code !== "not_found") throw error;
    return <PanelTrouble view={view} message={error.message} /> as Html;
  }
}

/** The bytes of a message, once the journal has it. */
export const rawPart: PagePart = {
  method: "POST",
  async render({ call }) {
    const form = await call!.readForm(), view = readView(form, []), { source, list, near } = view;
    const id = form.get("id") ?? "";
    const { raw } = await call!.run(show, { source, list, id, raw: true, ...near === null ? {} : { near } });
    return <RawMessage view={{ ...view, message: id }} raw={raw} /> as Html;
  },
};

/** What an edit changes. */
export const comparePart: PagePart = {
  method: "POST",
  async render({ call }) {
    const form = await call!.readForm();
    return <Changes before={form.get("_before") ?? ""} after={form.get("payload") ?? ""} /> as Html;
  },
};

/** Asks why, and makes the plan: of the selected messages, or of all that match. */
export const askPart: PagePart = {
  method: "POST",
  async render({ call, reader, role }) {
    const form = await call!.readForm(), view = readView(form, []), { source } = view;
    const words = VERBS.find(({ verb }) => verb === form.get("verb"));
    if (!words) throw new OperationError("invalid", `verb is not one of ${VERBS.map(({ verb }) => verb).join(", ")}`);
    const ids = [...new Set(form.getAll("ids").filter((id) => id !== ""))], total = form.get("total") ?? "";
    const canOverride = mayDo(role, "admin") && (words.verb === "redrive" || words.verb === "revive");
    const { sources } = canOverride ? await reader.read(explain, { source }) : { sources: [] };
    const closed = sources.flatMap(({ gates }) => gates).filter(({ name, open }) => !open && isOverridable(name));
    return (
      <Ask
        words={words}
        view={view}
        ids={ids}
        total={/^\d+$/.test(total) ? Number(total) : null}
        closed={closed.map((gate) => ({ gate: gate.name, words: gate.words }))}
      />
    ) as Html;
  },
};

/** A gate that would hold a job. */
export interface ClosedGate {
  readonly gate: string;
  readonly words: string;
}

/** Whether an admin may override a gate. */
export function isOverridable(name: string): boolean {
  return OVERRIDABLE_GATES.some((one) => one === name);
}

function Ask({ words, view: { source, list, query }, ids, total, closed }: {
  words: VerbWords;
  view: MessagesView;
  ids: readonly string[];
  total: number | null;
  closed: readonly ClosedGate[];
}): Html {
  const { verb, name, does, reason, kind } = words, chosen = ids.length > 0;
  const what = chosen
    ? plural(ids.length, "chosen message")
    : query === ""
    ? `all ${total === null ? "" : count(total)} messages of the ${LIST_WORDS[list]}`
    : `all ${total === null ? "" : `${count(total)} `}that match`;
  const fields = {
    ...{ source, ...(chosen ? { ids } : query === "" ? {} : { query }) },
    ...(verb === "purge" ? { list } : {}),
  };
  return (
    <>
      <h2>{name} {what}</h2>
      {!chosen && query !== "" && (
        <p>
          <code>
            <bdi>{query}</bdi>
          </code>{" "}
          in the {LIST_WORDS[list]} of {source}
        </p>
      )}
      <p>{does}</p>
      <Act operation={verb} kind="sheet" fields={fields}>
        <ReasonField placeholder={reason} autofocus />
        <Overrides closed={closed} />
        <p class="k">Nothing moves yet: the plan says what would happen, and waits for your confirmation.</p>
        <button class={`btn ${kind === "danger" ? "danger" : "go"}`} type="submit">Show the plan</button>
        <p class="wait k">Checks every message of the list; a million takes a few seconds.</p>
      </Act>
    </>
  ) as Html;
}

/** Closed gates that the job need not wait for. */
export function Overrides({ closed }: { closed: readonly ClosedGate[] }): Html | null {
  if (closed.length === 0) return null;
  return (
    <div class="field" role="group" aria-label="Gates that would hold it">
      Gates that would hold it <small>The job waits for them; an admin may override them, for at most 24 h</small>
      {closed.map(({ gate, words }) => (
        <label class="check">
          <input type="checkbox" name={OVERRIDE_FIELD} value={gate} /> Do not wait for <b>{gate}</b> ({words})
        </label>
      ))}
    </div>
  ) as Html;
}
