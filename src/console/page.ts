/** A page of the console: what it is asked with, and what it renders. */
import type { HtmlEscapedString } from "hono/utils/html";
import { raw } from "hono/html";
import { PAGE_HEADERS, type SiteCall } from "../api/site.ts";
import type { Role } from "../config/api_keys.ts";
import type { Operation, StreamOperation } from "../operations/operation.ts";
import type { FailureCounts } from "./failure_counts.ts";
import type { Step } from "./steps.ts";

/** Rendered markup. No component waits: a page reads first and renders then. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** Headers of every answer with markup. */
export const HTML_HEADERS = { "content-type": "text/html; charset=utf-8", ...PAGE_HEADERS };

/** Reads what a viewer may see. Rejects as the operation does. */
export interface Reader {
  // deno-lint-ignore no-explicit-any
  read<Input, Output>(operation: Operation<any, Input, Output>, input: Input): Promise<Output>;
  stream<Input, Item>(
    // deno-lint-ignore no-explicit-any
    operation: StreamOperation<any, Input, Item>,
    input: Input,
    signal: AbortSignal,
  ): AsyncIterable<Item>;
}

/** Who looks, at what. */
export interface PageVisit {
  readonly url: URL;
  /** Variables of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly role: Role;
  readonly nowMs: number;
  readonly reader: Reader;
  readonly failures: Pick<FailureCounts, "latest">;
  /** Marks a part that is kept up to date. Its id must be unique on the page. */
  live(id: string, part: Html | null): Html;
  /** The request itself; `null` when a live part is rendered for everybody who looks at it. */
  readonly call: SiteCall | null;
}

/** Where a page is in the navigation. */
export const SECTIONS = [
  ["/", "Overview"],
  ["/incidents", "Incidents"],
  ["/messages", "Messages"],
  ["/jobs", "Jobs"],
  ["/journal", "Journal"],
  ["/objectives", "Objectives"],
  ["/settings", "Settings"],
  ["/replicas", "Replicas"],
] as const;
/** The path of a section. */
export type Section = typeof SECTIONS[number][0];

/** A part of a page with an address of its own, below that of the page. Without scripts it is shown as a page. */
export interface PagePart {
  readonly method: "GET" | "POST";
  /** Rejects as the operations that it reads. */
  render(visit: PageVisit): Promise<Html>;
}

/** A page. */
export interface Page {
  readonly path: string;
  readonly section: Section;
  /** Whether parts of it are kept up to date. */
  readonly isLive: boolean;
  title(visit: PageVisit): string;
  /** Renders the main part. Rejects as the operations that it reads. */
  render(visit: PageVisit): Promise<Html>;
  /** Renders only the live parts; default: the whole main part. */
  refresh?(visit: PageVisit): Promise<unknown>;
  /** By name. */
  readonly parts?: Readonly<Record<string, PagePart>>;
  /** By name: parts that take long. */
  readonly streams?: Readonly<Record<string, (visit: PageVisit) => AsyncIterable<readonly Step[]>>>;
}

/** Renders a page and returns its live parts by id. */
export async function renderPage(
  page: Pick<Page, "render">,
  visit: Omit<PageVisit, "live">,
): Promise<{ readonly html: string; readonly sections: ReadonlyMap<string, string> }> {
  const sections = new Map<string, string>();
  const html = String(await page.render({ ...visit, live: (id, part) => record(sections, { id, part }) }));
  return { html, sections };
}

/** Renders the live parts of a page. */
export async function renderSections(page: Page, visit: Omit<PageVisit, "live">): Promise<ReadonlyMap<string, string>> {
  const render = async (full: PageVisit) => raw(String(await (page.refresh ?? page.render)(full)));
  return (await renderPage({ render }, visit)).sections;
}

function record(sections: Map<string, string>, { id, part }: { id: string; part: Html | null }): Html {
  if (sections.has(id)) throw new RangeError(`Two live parts of a page have the id ${id}`);
  const text = part === null ? "" : String(part);
  sections.set(id, text);
  return raw(`<div id="${id}" class="live">${text}</div>`);
}
