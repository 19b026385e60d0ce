/** The console: pages, assets, actions and live updates on the API's port. It builds nothing; the API hands it every request. */
import { raw } from "hono/html";
import type { Site, SiteCall, SitePage } from "../api/site.ts";
import { localPath } from "../api/site.ts";
import type { Caller } from "../api/authenticate.ts";
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
const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
};

/** Creates the console. */
export function createSite(options: SiteOptions): Site {
  const { clock, log } = options, failures = new FailureCounts(options);
  const hub = new LiveHub({
    clock,
    isGone: (error) => error instanceof OperationError && error.code === "not_found",
    onFailure: (page, error) => log.debug("console_page_failed", `Console: ${page} cannot be rendered`, { error }),
  });
  const factsOf = (caller: Caller | null): FrameFacts => ({
    ...{
      actor: caller && caller.actor,
      canLogOut: caller?.by === "session",
      pod: options.pod,
      version: options.version,
    },
  });
  const visitOf = (call: Pick<SiteCall, "url" | "params">, caller: Caller): Omit<PageVisit, "live"> => ({
    ...{
      url: call.url,
      params: call.params,
      role: caller.actor.role,
      nowMs: clock.nowMs(),
      reader: options.reader,
      failures,
      call: null,
    },
  });
  const answerPage = (page: Page) => async (call: SiteCall): Promise<Response> => {
    const caller = call.caller!, visit = { ...visitOf(call, caller), call };
    const { html, sections } = await renderPage(page, visit), isLive = page.isLive && sections.size > 0;
    const title = page.title({ ...visit, live: (_, part) => part ?? "" as unknown as Html });
    const live = isLive ? `${LIVE_PATH}?at=${encodeURIComponent(call.url.pathname + call.url.search)}` : null;
    const frame = { title, section: page.section, facts: factsOf(caller), isLive };
    return toPage(
      (
        <Document title={title} live={live}>
          <Frame {...frame}>{raw(html)}</Frame>
        </Document>
      ) as Html,
    );
  };
  const answerPart = (page: Page, part: PagePart) => async (call: SiteCall): Promise<Response> => {
    const caller = call.caller!, visit = { ...visitOf(call, caller), call };
    const { html } = await renderPage(part, visit);
    if (call.request.headers.has("hx-request")) return new Response(html, { headers: HTML_HEADERS });
    const title = page.title({ ...visit, live: (_, shown) => shown ?? "" as unknown as Html });
    const frame = { title, section: page.section, facts: factsOf(caller), isLive: false };
    return toPage(
      (
        <Document title={title}>
          <Frame {...frame}>
            <section class="card notice">{raw(html)}</section>
          </Frame>
        </Document>
      ) as Html,
    );
  };
  const answerStream = (stream: NonNullable<Page["streams"]>[string]) => async (call: SiteCall): Promise<Response> => {
    if (call.request.method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
    if (!call.stay()) throw tooMany();
    const caller = call.caller!,
      visit = { ...visitOf(call, caller), call, live: (_: string, shown: Html | null) => shown! };
    const body = await streamSteps(whileValid(stream(visit), caller.isValid), (error) => {
      log.debug("console_part_failed", `Console: ${call.url.pathname} broke off`, { error });
      return [{ id: "trouble", how: "set", html: <Trouble error={error} /> as Html }];
    });
    return new Response(body, { headers: STREAM_HEADERS });
  };
  const watch = async (call: SiteCall): Promise<Response> => {
    const caller = call.caller!, found = findPage(call.url);
    if (found === null) throw new Problem("not_found", "No page is kept up to date at this address");
    if (call.request.method === "HEAD") return new Response(null, { headers: STREAM_HEADERS });
    if (!call.stay()) throw tooMany();
    const { page, url, params } = found;
    const body = await hub.watch({
      key: `${caller.actor.role} ${url.pathname}${url.search}`,
      render: () => renderSections(page, visitOf({ url, params }, caller)),
    }, { isValid: caller.isValid, signal: call.signal });
    if (body === null) throw tooMany();
    return new Response(body, { headers: STREAM_HEADERS });
  };
  const pages: SitePage[] = [
    ...ASSET_PAGES,
    { method: "GET", path: "/login", isOpen: true, answer: ({ url }) => loginPage(url, null) },
    { method: "GET", path: LIVE_PATH, answer: watch },
    { method: "POST", path: `${ACT_PATH}/{operation}`, answer: act },
    ...PAGES.flatMap((page): SitePage[] => [
      { method: "GET", path: page.path, answer: answerPage(page) },
      ...Object.entries(page.parts ?? {}).map(([name, part]): SitePage => ({
        ...{ method: part.method, path: `${page.path}/${name}`, answer: answerPart(page, part) },
      })),
      ...Object.entries(page.streams ?? {}).map(([name, stream]): SitePage => ({
        ...{ method: "GET", path: `${page.path}/${name}`, answer: answerStream(stream) },
      })),
    ]),
  ];
  return {
    pages,
    refuse: (problem, { request, caller }) => refuse(problem, { request, facts: factsOf(caller) }),
    stop: async () => {
      await Promise.all([hub.stop(), failures.stop()]);
    },
  };
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

function refuse(problem: Problem, { request, facts }: { request: Request; facts: FrameFacts }): Response {
  const { status, title } = PROBLEMS[problem.code], url = new URL(request.url);
  const headers = { ...HTML_HEADERS, ...problem.headers };
  if (request.headers.has("hx-request")) {
    if (problem.code === "in_progress") return new Response(String(<StillRuns />), { status: 200, headers });
    if (problem.code === "unauthenticated") {
      return new Response(null, { status: 200, headers: { "hx-refresh": "true" } });
    }
    return new Response(String(<Refusal problem={problem} />), { status, headers });
  }
  if (url.pathname === "/login") return loginPage(url, problem);
  if (problem.code === "unauthenticated" && request.method === "GET") {
    const next = url.pathname === "/" && url.search === ""
      ? ""
      : `?next=${encodeURIComponent(url.pathname + url.search)}`;
    return new Response(null, { status: 303, headers: { location: `/login${next}` } });
  }
  const frame = { title, section: null as Section | null, facts, isLive: false };
  const body = (
    <Document title={title}>
      <Frame {...frame}>
        <section class="card notice">
          <h2>{title}</h2>
          <Refusal problem={problem} />
          <p>
            {status >= 500 && request.method === "GET" && (
              <a class="btn go" href={url.pathname + url.search}>Try again</a>
            )} <a class="btn" href="/">Overview</a>
          </p>
        </section>
      </Frame>
    </Document>
  );
  return new Response(`<!doctype html>${String(body)}`, { status, headers });
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
  return toPage(<Document title="Log in">{page}</Document> as Html, { status, headers: problem?.headers ?? {} });
}

function toPage(
  html: Html,
  { status = 200, headers = {} }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Response {
  return new Response(`<!doctype html>${String(html)}`, { status, headers: { ...HTML_HEADERS, ...headers } });
}
