/** What a page answers, and how requests find their page. Pure: nothing here does IO. */

/** What a page may know of a request. Bodies are never read. */
export type PageRequest = Pick<Request, "method" | "url" | "headers">;

/** An answer, before it becomes an HTTP response. */
export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A page that can be asked for: GET and HEAD only, so asking changes nothing. */
export interface Page {
  /** One line for the index. */
  readonly summary: string;
  answer(request: PageRequest): Reply | Promise<Reply>;
}

/** Pages by their exact path. */
export type Pages = Readonly<Record<string, Page>>;

const TEXT = "text/plain; charset=utf-8";

/** A reply of plain text. */
export function textReply(body: string, status = 200): Reply {
  return { status, contentType: TEXT, body };
}

/** A reply of JSON. */
export function jsonReply(value: unknown, status = 200): Reply {
  return { status, contentType: "application/json", body: JSON.stringify(value) };
}

/** Whether the request asks for JSON by name; a wildcard gets text, as the original's clients expect. */
export function wantsJson(request: PageRequest): boolean {
  return /\bapplication\/json(?![\w.+-])(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(request.headers.get("accept") ?? "");
}

/** Answers a request with the page at its path; `/` lists them. Rejects with what a page throws. */
export async function route(pages: Pages, request: PageRequest): Promise<Response> {
  const path = URL.parse(request.url)?.pathname ?? request.url;
  const page = Object.hasOwn(pages, path) ? pages[path] : path === "/" ? indexOf(pages) : undefined;
  if (page === undefined) return toResponse(textReply(`Not found. Here is:\n${listPages(pages)}`, 404));
  if (request.method !== "GET" && request.method !== "HEAD") {
    return toResponse({ ...textReply("Method not allowed: use GET or HEAD\n", 405), headers: { allow: "GET, HEAD" } });
  }
  return toResponse(await page.answer(request), request.method === "HEAD");
}

/** The HTTP response of a reply; for HEAD without its body. */
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
