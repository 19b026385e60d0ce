/** The bytes of one message, and the form that replaces them. Pure. */
import { Buffer } from "node:buffer";
import { prettyJson } from "../message/pretty.ts";
import { Act, ReasonField } from "./forms.tsx";
import { JsonText } from "./json_text.tsx";
import { compareLines } from "./line_changes.ts";
import type { MessagesView } from "./messages_view.ts";
import type { Html } from "./page.ts";

/** A message with its bytes, Base64. */
export interface RawFacts {
  readonly view: Pick<MessagesView, "source" | "list" | "message" | "near">;
  readonly raw: string | null;
}

/** The raw text, and what can be done with it. */
export function RawMessage({ view, raw }: RawFacts): Html {
  const { source, list, message: id, near } = view, text = raw === null ? null : decode(raw);
  if (raw === null) {
    return <p class="k">The message is larger than REMEDIATION_MAX_MESSAGE_BYTES, so it is not read.</p> as Html;
  }
  if (text === null) {
    return (
      <div class="raw">
        <p class="k">Not UTF-8, so it cannot be edited here. The bytes in Base64:</p>
        <JsonText text={raw} />
      </div>
    ) as Html;
  }
  if (list === "target") return <JsonText text={text} /> as Html;
  const fields = { source, list, id, ...(near === null ? {} : { near: String(near) }) };
  return (
    <div class="raw">
      <Act operation="edit" kind="sheet" fields={fields}>
        <input type="hidden" name="_before" value={text} />
        <label class="field">
          The message as it is, with its secrets <small>Change it, and it is replaced in its place</small>
          <textarea
            name="payload"
            rows={Math.min(16, Math.max(6, Math.ceil(text.length / 60)))}
            spellcheck={false}
            autocomplete="off"
            autofocus
            required
            hx-post="/messages/compare"
            hx-trigger="input changed delay:400ms"
            hx-target="#compared"
            hx-swap="innerHTML"
          >
            {text}
          </textarea>
        </label>
        <div id="compared"></div>
        <label class="check">
          <input type="checkbox" name="replay" value="true" /> Plan {list === "dead" ? "its revival" : "its replay"}
          {" "}
          afterwards
        </label>
        <ReasonField placeholder="severity must be a number, change 4711" />
        <p class="k">The original is kept for 7 days: undo the edit to bring it back.</p>
        <button class="btn go" type="submit">Replace the message</button>
      </Act>
    </div>
  ) as Html;
}

/** What an edit changes, by line of the laid-out text. */
export function Changes({ before, after }: { before: string; after: string }): Html {
  const lines = compareLines(prettyJson(before), prettyJson(after));
  const problem = jsonProblem(after), isSame = lines.every(({ kind }) => kind === "same");
  return (
    <>
      {problem !== null && <p class="refusal">Not JSON: {problem}</p>}
      {problem === null && (isSame
        ? <p class="k">Nothing but the layout has changed.</p>
        : (
          <pre class="diff" tabindex={0} aria-label="Before and after">
            {lines.map(({ kind, text }) => (
              <span class={kind}>{`${kind === "gone" ? "−" : kind === "new" ? "+" : " "} ${text}\n`}</span>
            ))}
          </pre>
        ))}
    </>
  ) as Html;
}

/** What a JSON parser says of a text; `null`: it is an object. Python's JSON knows more numbers, so the server decides. */
function jsonProblem(text: string): string | null {
  try {
    const value = JSON.parse(text.replace(/\b(NaN|-?Infinity)\b/g, "0"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? null : "a message is an object";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function decode(base64: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(base64, "base64"));
  } catch {
    return null;
  }
}
