/** Defines pages and routes requests to them. Pure: no IO. */

/** The parts of a request that a page may use. Bodies are never read. */
export type PageRequest = Pick<Request, "method" | "url" | "headers">;

/** An answer before it becomes an HTTP response. */
export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Additional headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A read-only page: GET and HEAD only. */
export interface Page {
  /** One line of text for the index. */
  readonly summary: string;
  answer(request: PageRequest): Reply | Promise<Reply>;
}

/** Pages by exact path. */
export type Pages = Readonly<Record<string, Page>>;

const TEXT = "text/plain; charset=utf-8";

/** Creates a plain-text reply. */
export function textReply(body: string, status = 200): Reply {
  return { status, contentType: TEXT, body };
}

/** Creates a JSON reply. */
export function jsonReply(value: unknown, status = 200): Reply {
  return { status, contentType: "application/json", body: JSON.stringify(value) };
}

/** Whether the request names JSON in Accept. A wildcard gets text, as the original's clients expect. */
export function wantsJson(request: PageRequest): boolean {
  return /\bapplication\/json(?![\w.+-])(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(request.headers.get("accept") ?? "");
}

/** Answers a request with the page at its path; `/` lists all pages. Rejects with the page's error. */
export async function route(pages: Pages, request: PageRequest): Promise<Response> {
  const path = URL.parse(request.url)?.pathname ?? request.url;
  const page = Object.hasOwn(pages, path) ? pages[path] : path === "/" ? indexOf(pages) : undefined;
  if (page === undefined) return toResponse(textReply(`Not found. Available pages:\n${listPages(pages)}`, 404));
  if (request.method !== "GET" && request.method !== "HEAD") {
    return toResponse({ ...textReply("Method not allowed: use GET or HEAD\n", 405), headers: { allow: "GET, HEAD" } });
  }
  return toResponse(await page.answer(request), request.method === "HEAD");
}

/** Converts a reply to an HTTP response, without its body for HEAD. */
export function toResponse(reply: Reply, headOnly = false): Response {
  return new Response(headOnly ? null : reply.body, {
    status: reply.status,
    headers: {
      "content-type": reply.contentType,
      "content-length": String(new TextEncoder().encode(reply.body).byteLength),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...reply.headers,
    },
  });
}

function indexOf(pages: Pages): Page {
  return { summary: "", answer: () => textReply(listPages(pages)) };
}

function listPages(pages: Pages): string {
  return Object.entries(pages).map(([path, { summary }]) => `${path}  ${summary}\n`).join("");
}
