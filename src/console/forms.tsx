/** Forms that act. Each runs one operation; what goes on more than one message opens its plan first. */
import type { Child } from "hono/jsx";
import { type Role, ROLES } from "../config/api_keys.ts";
import { createId } from "../runtime/random.ts";
import type { Html } from "./page.ts";

/** Where the forms go. */
export const ACT_PATH = "/act";
/** Fields that begin with `_` are not input of the operation. These: where to go afterwards, and the idempotency key. */
export const NEXT_FIELD = "_next", ONCE_FIELD = "_once";
/** Names of gates that a job overrides, for the reason of the form. */
export const OVERRIDE_FIELD = "_override";

/** Whether a role includes another. The server decides again. */
export function mayDo(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/**
 * A form that runs an operation. `next`: where the browser goes afterwards; default: where the operation leads. `inline`: a button
 * that may be pressed twice, so it needs no idempotency key, which would make a live part new every second.
 */
export function Act(
  { operation, fields = {}, next, children, kind = "inline" }: {
    operation: string;
    fields?: Readonly<Record<string, string | readonly string[]>>;
    next?: string;
    children?: Child;
    kind?: "inline" | "sheet";
  },
): Html {
  const path = `${ACT_PATH}/${operation}`;
  return (
    <form
      class={`act ${kind}`}
      method="post"
      action={path}
      hx-post={path}
      hx-target="find .answer"
      hx-disabled-elt="find button"
      hx-disinherit="*"
    >
      {Object.entries(fields).flatMap(([name, values]) =>
        [values].flat().map((value) => <input type="hidden" name={name} value={value} />)
      )}
      {next && <input type="hidden" name={NEXT_FIELD} value={next} />}
      {kind === "sheet" && <input type="hidden" name={ONCE_FIELD} value={createId()} />}
      {children}
      <div class="answer" role="alert"></div>
    </form>
  ) as Html;
}

/** A button that opens a sheet. */
export function Opener(
  { sheet, kind = "", children }: { sheet: string; kind?: "" | "go" | "danger"; children?: Child },
): Html {
  return <button class={`btn ${kind}`} type="button" popovertarget={sheet}>{children}</button> as Html;
}

/** A dialogue above the page. Keep it out of live parts. */
export function Sheet({ id, title, children }: { id: string; title: string; children?: Child }): Html {
  return (
    <div id={id} popover="auto" class="sheet" role="dialog" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      {children}
    </div>
  ) as Html;
}

/** Why: it goes into the journal. */
export function ReasonField(
  { placeholder, value, autofocus = false }: { placeholder: string; value?: string; autofocus?: boolean },
): Html {
  return (
    <label class="field">
      Why? <small>For the journal</small>
      <input
        type="text"
        name="reason"
        required
        maxlength={200}
        placeholder={placeholder}
        value={value}
        autocomplete="off"
        autofocus={autofocus}
      />
    </label>
  ) as Html;
}

/** Lengths of a pause or a freeze. */
const LENGTHS = [["900", "15 minutes"], ["3600", "1 hour"], ["14400", "4 hours"], ["86400", "1 day"]] as const;

/** What can be done to a source, as sheets: outside live parts, so that typing is not disturbed. */
export function SourceSheets({ source, role, next }: { source: string; role: Role; next: string }): Html | null {
  if (!mayDo(role, "operator")) return null;
  return (
    <>
      <Sheet id={`pause-${source}`} title={`Pause ${source}`}>
        <p>Automatic replay of the source is held, on every instance, until the time is up or it is resumed.</p>
        <Act operation="pause" fields={{ source }} next={next} kind="sheet">
          <ReasonField placeholder="network work, change 4711" />
          <LengthField />
          <button class="btn go" type="submit">Pause {source}</button>
        </Act>
      </Sheet>
      <FreezeSheet source={source} next={next} />
      <Sheet id={`release-${source}`} title={`Release the brake of ${source}`}>
        <p>
          Replayed messages came back, so the source tests with small groups. If you know that its consumer works again,
          release it: it goes on at full speed. It brakes again if messages come back.
        </p>
        <Act operation="release" fields={{ source }} next={next} kind="sheet">
          <ReasonField placeholder="consumer repaired, release 2.4" />
          <button class="btn go" type="submit">Release {source}</button>
        </Act>
      </Sheet>
    </>
  ) as Html;
}

function LengthField(): Html {
  return (
    <label class="field">
      For how long?
      <select name="forSeconds">
        {LENGTHS.map(([seconds, words]) => <option value={seconds} selected={seconds === "3600"}>{words}</option>)}
      </select>
    </label>
  ) as Html;
}

/** Freezes a source; `null`: every source. */
function FreezeSheet({ source, next }: { source: string | null; next: string }): Html {
  const what = source ?? "every source";
  return (
    <Sheet id={`freeze-${source ?? "all"}`} title={`Freeze ${what}`}>
      <p>
        Nothing is replayed, on every instance, until the time is up or the freeze is ended: neither automatically nor
        by a job. Jobs may still take messages out, bury and purge.
      </p>
      <Act operation="freeze" fields={source === null ? {} : { source }} next={next} kind="sheet">
        <ReasonField placeholder="database upgrade, change 4711" />
        <LengthField />
        <button class="btn go" type="submit">Freeze {what}</button>
      </Act>
    </Sheet>
  ) as Html;
}

/** What can be done to every source at once, with its sheet: keep it out of live parts. */
export function EverySource({ role, next }: { role: Role; next: string }): Html | null {
  if (!mayDo(role, "operator")) return null;
  return (
    <div class="acts all">
      <Opener sheet="freeze-all">Freeze all…</Opener>
      <Act operation="unfreeze" next={next}>
        <button class="btn" type="submit">Unfreeze all</button>
      </Act>
      <FreezeSheet source={null} next={next} />
    </div>
  ) as Html;
}

/** The buttons of a source. They may be in a live part: only openers and forms without fields. */
export function SourceActions(
  { source, role, isPaused, isFrozen, isBraked, next, replaysNow }: {
    source: string;
    role: Role;
    isPaused: boolean;
    isFrozen: boolean;
    isBraked: boolean;
    next: string;
    /** Whether the page has the sheet for it. */
    replaysNow: boolean;
  },
): Html {
  const mayAct = mayDo(role, "operator");
  return (
    <div class="acts">
      <a class="btn" href={`/messages?source=${encodeURIComponent(source)}`}>Messages</a>
      {mayAct && replaysNow && <Opener sheet={`replay-${source}`}>Replay now…</Opener>}
      {mayAct && isBraked && <Opener sheet={`release-${source}`}>Release brake…</Opener>}
      {mayAct && !isPaused && <Opener sheet={`pause-${source}`}>Pause…</Opener>}
      {mayAct && isPaused && (
        <Act operation="resume" fields={{ source }} next={next}>
          <button class="btn go" type="submit">Resume</button>
        </Act>
      )}
      {mayAct && !isFrozen && <Opener sheet={`freeze-${source}`}>Freeze…</Opener>}
      {mayAct && isFrozen && (
        <Act operation="unfreeze" fields={{ source }} next={next}>
          <button class="btn go" type="submit">Unfreeze</button>
        </Act>
      )}
    </div>
  ) as Html;
}
