/** The console: pages, assets, actions and live updates on the API's port. It builds nothing; the API hands it every request. */
import { raw } from "hono/html";
import type { Site, SiteCall, SitePage } from "../api/site.ts";
import { localPath } from "../api/site.ts";
import type { Caller } from "../api/authenticate.ts";
import { EVENT_STREAM_HEADERS } from "../api/event_stream.ts";
import { Problem, PROBLEMS } from "../api/problem.ts";
import type { Log } from "../observability/log.ts";
import { describeProblem, OperationError } from "../operations/operation.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import type { Clock } from "../runtime/clock.ts";
import { act } from "./act.tsx";
import { ASSET_PAGES } from "./assets.ts";
import { FailureCounts } from "./failure_counts.ts";
import { ACT_PATH } from "./forms.tsx";
import { Document, Frame, type FrameFacts } from "./frame.tsx";
import { LiveHub } from "./live.ts";
import { LoginPage } from "./pages/login.tsx";
import { PAGES } from "./pages/all.ts";
import {
  type Html,
  HTML_HEADERS,
  type Page,
  type PagePart,
  type PageVisit,
  type Reader,
  renderPage,
  renderSections,
  type Section,
} from "./page.ts";
import { Trouble } from "./parts.tsx";
import { streamSteps } from "./steps.ts";

/** Dependencies of {@link createSite}. */
export interface SiteOptions {
  /** Reads as a viewer, for live parts that several people share. */
  readonly reader: Reader;
  readonly pod: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

const LIVE_PATH = "/live";

/** Creates the console. */
export function createSite(options: SiteOptions): Site {
  return new ConsoleSite(options);
}

class ConsoleSite implements Site {
  readonly pages: readonly SitePage[];
  readonly #options: SiteOptions;
  readonly #failures: FailureCounts;
  readonly #hub: LiveHub;

  constructor(options: SiteOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#failures = new FailureCounts(options);
    this.#hub = new LiveHub({
      clock,
      isGone: (error) => error instanceof OperationError && error.code === "not_found",
      onFailure: (page, error) => log.debug("console_page_failed", `Console: ${page} cannot be rendered`, { error }),
    });
    this.pages = [
      ...ASSET_PAGES,
      { method: "GET", path: "/login", isOpen: true, answer: ({ url }) => loginPage(url, null) },
      { method: "GET", path: LIVE_PATH, answer: (call) => this.#watch(call) },
      { method: "POST", path: `${ACT_PATH}/{operation}`, answer: act },
      ...PAGES.flatMap((page) => this.#addressesOf(page)),
    ];
  }

  refuse(
    problem: Problem,
    { request, caller }: { readonly request: Request; readonly caller: Caller | null },
  ): Response {
    const { status, title } = PROBLEMS[problem.code], url = new URL(request.url);
    const answer = { status, headers: problem.headers };
    if (request.headers.has("hx-request")) return refusePart(problem, answer);
    if (url.pathname === "/login") return loginPage(url, problem);
    if (problem.code === "unauthenticated" && request.method === "GET") return toLogin(url);
    const retry = status >= 500 && request.method === "GET" ? url.pathname + url.search : null;
    return this.#toPage(
      caller,
      { title, body: <RefusedPage title={title} problem={problem} retry={retry} /> as Html },
      answer,
    );
  }

  async stop(): Promise<void> {
    await Promise.all([this.#hub.stop(), this.#failures.stop()]);
  }

  /** The page itself, its parts and its streams. */
  #addressesOf(page: Page): SitePage[] {
    return [
      { method: "GET", path: page.path, answer: (call) => this.#answerPage(page, call) },
      ...Object.entries(page.parts ?? {}).map(([name, part]): SitePage => ({
        ...{ method: part.method, path: `${page.path}/${name}`, answer: (call) => this.#answerPart(page, part, call) },
      })),
      ...Object.entries(page.streams ?? {}).map(([name, stream]): SitePage => ({
        ...{ method: "GET", path: `${page.path}/${name}`, answer: (call) => this.#answerStream(stream, call) },
      })),
    ];
  }

  async #answerPage(page: Page, call: SiteCall): Promise<Response> {
    const caller = call.caller!, visit = { ...this.#visitOf(call, caller), call };
    const { html, sections } = await renderPage(page, visit), isLive = page.isLive && sections.size > 0;
    const live = isLive ? `${LIVE_PATH}?at=${encodeURIComponent(call.url.pathname + call.url.search)}` : null;
    return this.#toPage(caller, { title: titleOf(page, visit), section: page.section, live, body: raw(html) });
  }

  async #answerPart(page: Page, part: PagePart, call: SiteCall): Promise<Response> {
    const caller = call.caller!, visit = { ...this.#visitOf(call, caller), call };
    const { html } = await renderPage(part, visit);
    if (call.request.headers.has("hx-request")) return new Response(html, { headers: HTML_HEADERS });
    const body = <section class="card notice">{raw(html)}</section> as Html;
    return this.#toPage(caller, { title: titleOf(page, visit), section: page.section, body });
  }

  async #answerStream(stream: PageStream, call: SiteCall): Promise<Response> {
    if (call.request.method === "HEAD") return new Response(null, { headers: EVENT_STREAM_HEADERS });
    if (!call.stay()) throw tooMany();
    const caller = call.caller!, visit = { ...this.#visitOf(call, caller), call, live: showPart };
    const body = await streamSteps(whileValid(stream(visit), caller.isValid), (error) => {
      this.#options.log.debug("console_part_failed", `Console: ${call.url.pathname} broke off`, { error });
      return [{ id: "trouble", how: "set", html: <Trouble error={error} /> as Html }];
    });
    return new Response(body, { headers: EVENT_STREAM_HEADERS });
  }

  async #watch(call: SiteCall): Promise<Response> {
    const caller = call.caller!, found = findPage(call.url);
    if (found === null) throw new Problem("not_found", "No page is kept up to date at this address");
    if (call.request.method === "HEAD") return new Response(null, { headers: EVENT_STREAM_HEADERS });
    if (!call.stay()) throw tooMany();
    const { page, url, params } = found;
    const body = await this.#hub.watch({
      key: `${caller.actor.role} ${url.pathname}${url.search}`,
      render: () => renderSections(page, this.#visitOf({ url, params }, caller)),
    }, { isValid: caller.isValid, signal: call.signal });
    if (body === null) throw tooMany();
    return new Response(body, { headers: EVENT_STREAM_HEADERS });
  }

  #visitOf({ url, params }: Pick<SiteCall, "url" | "params">, { actor }: Caller): Omit<PageVisit, "live"> {
    const { clock, reader } = this.#options;
    return { url, params, role: actor.role, nowMs: clock.nowMs(), reader, failures: this.#failures, call: null };
  }

  /** A document with the frame around `body`. */
  #toPage(
    caller: Caller | null,
    { title, section = null, live = null, body }: {
      title: string;
      section?: Section | null;
      live?: string | null;
      body: Html;
    },
    answer: Answer = {},
  ): Response {
    const { pod, version } = this.#options;
    const facts: FrameFacts = { actor: caller && caller.actor, canLogOut: caller?.by === "session", pod, version };
    const page = (
      <Document title={title} live={live}>
        <Frame title={title} section={section} facts={facts} isLive={live !== null}>{body}</Frame>
      </Document>
    );
    return toResponse(page as Html, answer);
  }
}

type PageStream = NonNullable<Page["streams"]>[string];

/** Status and headers of an answer; default: 200, and those of every page. */
interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Renders a live part where nothing keeps it up to date. */
function showPart(_id: string, part: Html | null): Html {
  return part ?? raw("");
}

function titleOf(page: Page, visit: Omit<PageVisit, "live">): string {
  return page.title({ ...visit, live: showPart });
}

/** The page that `at` in the query names. */
function findPage(url: URL): { page: Page; url: URL; params: Record<string, string> } | null {
  const at = new URL(localPath(url.searchParams.get("at")), url);
  for (const page of PAGES) {
    if (!page.isLive) continue;
    const names = [...page.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const found = new RegExp(`^${page.path.replaceAll(/\{\w+\}/g, "([^/]+)")}$`).exec(at.pathname);
    if (!found) continue;
    const params = Object.fromEntries(names.map((name, i) => [name, decode(found[i + 1]!)]));
    return { page, url: at, params };
  }
  return null;
}

/** Ends when the caller may not call any more: a browser that reads slowly can take hours. */
async function* whileValid<Item>(items: AsyncIterable<Item>, isValid: () => boolean): AsyncGenerator<Item> {
  for await (const item of items) {
    if (!isValid()) return;
    yield item;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function tooMany(): Problem {
  return new Problem("unavailable", "Too many pages are open", { headers: { "retry-after": "5" } });
}

/** The answer to a script that asked for a part of a page. */
function refusePart(problem: Problem, answer: Answer): Response {
  // htmx then loads the whole page again, which leads to the login.
  if (problem.code === "unauthenticated") return new Response(null, { status: 200, headers: { "hx-refresh": "true" } });
  const isOver = problem.code !== "in_progress";
  const part = String(isOver ? <Refusal problem={problem} /> : <StillRuns />);
  return new Response(part, { status: isOver ? answer.status! : 200, headers: { ...HTML_HEADERS, ...answer.headers } });
}

function toLogin({ pathname, search }: URL): Response {
  const next = pathname === "/" && search === "" ? "" : `?next=${encodeURIComponent(pathname + search)}`;
  return new Response(null, { status: 303, headers: { location: `/login${next}` } });
}

/** `retry`: where to try again; `null`: that would not help. */
function RefusedPage({ title, problem, retry }: { title: string; problem: Problem; retry: string | null }): Html {
  return (
    <section class="card notice">
      <h2>{title}</h2>
      <Refusal problem={problem} />
      <p>
        {retry !== null && <a class="btn go" href={retry}>Try again</a>} <a class="btn" href="/">Overview</a>
      </p>
    </section>
  ) as Html;
}

/** The script sends the form again, with the same key, until it is answered. */
function StillRuns(): Html {
  return <p data-send-again>Still counting: a long list takes its time. The answer comes by itself.</p> as Html;
}

function Refusal({ problem }: { problem: Problem }): Html {
  const { message, problems } = problem;
  return (
    <div class="refusal">
      {problems.length === 0 && <p>{escapeHidden(message)}</p>}
      {problems.length > 0 && <ul>{problems.map((one) => <li>{escapeHidden(describeProblem(one))}</li>)}</ul>}
    </div>
  ) as Html;
}

function loginPage(url: URL, problem: Problem | null): Response {
  const status = problem ? PROBLEMS[problem.code].status : 200;
  const next = localPath(url.searchParams.get("next")), once = problem ? null : url.searchParams.get("once");
  const page = <LoginPage next={next} problem={problem?.message ?? null} once={once} />;
  return toResponse(<Document title="Log in">{page}</Document> as Html, { status, headers: problem?.headers ?? {} });
}

function toResponse(html: Html, { status = 200, headers = {} }: Answer = {}): Response {
  return new Response(`<!doctype html>${String(html)}`, { status, headers: { ...HTML_HEADERS, ...headers } });
}
