/** What a form of the console does: it runs one operation, once, and says where to go. */
import { groupTexts } from "../api/input.ts";
import { PROBLEMS } from "../api/problem.ts";
import { localPath, type SiteCall } from "../api/site.ts";
import { OperationError } from "../operations/operation.ts";
import { count } from "./format.ts";
import { NEXT_FIELD, ONCE_FIELD, OVERRIDE_FIELD } from "./forms.tsx";
import { jobPath } from "./lists.tsx";
import { type Html, HTML_HEADERS } from "./page.ts";

/** Runs the operation of a form. A form that leads nowhere shows what was done. Rejects as the operation does. */
export async function act(call: SiteCall): Promise<Response> {
  const form = await call.readForm(), operation = call.params.operation!, fields = fieldsOf(form);
  const run = async () => {
    const output = await call.runForm(operation, fields) as { readonly job?: unknown; readonly result?: unknown };
    const { result } = output;
    return { next: nextOf(output, String(fields.source ?? "")), result: typeof result === "string" ? result : null };
  };
  let answer: unknown;
  try {
    answer = await call.runOnce({ key: form.get(ONCE_FIELD), form }, run);
  } catch (error) {
    const change = changeOf(error);
    if (change === null || !call.request.headers.has("hx-request")) throw error;
    return new Response(String(<Changed {...change} />), {
      ...{ status: PROBLEMS.stale.status, headers: HTML_HEADERS },
    });
  }
  const { next, result } = answer as { next: string | null; result: string | null };
  if (next === null && result !== null && !form.has(NEXT_FIELD) && call.request.headers.has("hx-request")) {
    return new Response(String(<p class="done">{result}</p>), { headers: HTML_HEADERS });
  }
  const path = next ?? localPath(form.get(NEXT_FIELD));
  return call.request.headers.has("hx-request")
    ? new Response(null, { status: 200, headers: { "hx-redirect": path } })
    : new Response(null, { status: 303, headers: { location: path } });
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(form: URLSearchParams): Fields {
  const filled = new URLSearchParams([...form].filter(([name, value]) => value !== "" && !name.startsWith("_")));
  const gates = form.getAll(OVERRIDE_FIELD), reason = form.get("reason") ?? "";
  return {
    ...groupTexts(filled),
    ...(gates.length === 0 ? {} : { overrides: gates.map((gate) => ({ gate, reason })) }),
  };
}

/** A plan is looked at first; a job is followed; a message that was edited is shown. */
function nextOf(output: Readonly<Record<string, unknown>>, source: string): string | null {
  const { job, replayJob } = output, asked = replayJob ?? job;
  const id = typeof asked === "string" ? asked : (asked as { id?: string } | undefined)?.id;
  return id === undefined ? null : jobPath({ source, id });
}

/** What a confirmation is refused with if the count has changed: the change that would have to be allowed. */
function changeOf(error: unknown): { readonly message: string; readonly allow: number } | null {
  if (!(error instanceof OperationError) || error.code !== "stale") return null;
  const allow = error.problems.find(({ field }) => field === "allowChange")?.wanted.match(/\d+/)?.[0];
  return allow === undefined ? null : { message: error.message, allow: Number(allow) };
}

/** Says what has changed, and offers to allow it: the button is of the form that was refused. */
function Changed({ message, allow }: { message: string; allow: number }): Html {
  return (
    <div class="refusal">
      <p>{message}</p>
      <button class="btn" type="submit" name="allowChange" value={String(allow)}>
        Allow a change of {count(allow)}, and go on
      </button>
    </div>
  ) as Html;
}
