/** Prints answers of the API: JSON, lines of JSON, or text for people. */
import { EXIT } from "../runtime/exit.ts";
import { writeOut } from "../runtime/process.ts";
import type { ApiFlags } from "./api_commands.ts";
import { type ApiClient, ApiError } from "./client.ts";
import { STREAM_VIEWS, viewAnything, VIEWS } from "./views.ts";

/** How an answer is printed. */
export type Format = "text" | "json" | "ndjson";

/** The format that the flags ask for. */
export function formatOf({ json, ndjson }: Pick<ApiFlags, "json" | "ndjson">): Format {
  return json ? "json" : ndjson ? "ndjson" : "text";
}

/** Prints an answer. Returns the exit code. */
export async function printAnswer(
  answer: unknown,
  { name, format, client }: { name: string; format: Format; client: ApiClient },
): Promise<number> {
  if (format === "json") writeOut(`${JSON.stringify(answer)}\n`);
  else if (format === "ndjson") { for (const item of itemsOf(answer)) writeOut(`${JSON.stringify(item)}\n`); }
  else writeOut(await (VIEWS[name] ?? viewAnything)(answer, client));
  return judge(answer);
}

/** The items of the answer's only list of things, else the answer itself. A list of texts, such as names of columns, says about them. */
function itemsOf(answer: unknown): readonly unknown[] {
  const isThing = (item: unknown) => typeof item === "object" && item !== null;
  const lists = Object.values(answer as object).filter((value): value is unknown[] =>
    Array.isArray(value) && value.every(isThing)
  );
  return lists.length === 1 ? lists[0]! : [answer];
}

/** An unhealthy service and a journal that was changed are failures. */
function judge(answer: unknown): number {
  const { status, intact } = answer as { status?: unknown; intact?: unknown };
  return status === "unhealthy" || intact === false ? EXIT.failed : EXIT.done;
}

/** Prints the lines of a stream as they come. Returns the exit code. If it breaks off, its last item says so, as the API's own does. */
export async function printLines(
  lines: AsyncIterable<string>,
  { name, format }: { name: string; format: Format },
): Promise<number> {
  const view = STREAM_VIEWS[name];
  if (format === "ndjson" || (format === "text" && !view)) {
    for await (const line of withEnd(lines)) writeOut(`${line}\n`);
  } else if (format === "json") {
    let separator = "[";
    try {
      for await (const line of withEnd(lines)) {
        writeOut(`${separator}${line}`);
        separator = ",\n";
      }
      if (separator === "[") writeOut("[]\n");
    } finally {
      if (separator !== "[") writeOut("]\n");
    }
  } else {
    await view!(parse(lines));
  }
  return EXIT.done;
}

/** The lines; an error after the first one is preceded by an item that says so. */
async function* withEnd(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let hasBegun = false;
  try {
    for await (const line of lines) {
      hasBegun = true;
      yield line;
    }
  } catch (error) {
    if (hasBegun && error instanceof ApiError) {
      yield JSON.stringify({ error: { code: error.code, detail: error.message } });
    }
    throw error;
  }
}

async function* parse(lines: AsyncIterable<string>): AsyncGenerator<Readonly<Record<string, unknown>>> {
  for await (const line of lines) yield JSON.parse(line);
}
