/** What the page of messages shows, as its address says it: every state can be shared. Pure. */
import { LIST_NAMES, type ListName } from "../message/source_policy.ts";

/** Messages of a page. */
export const PAGE_ROWS = 100;
/** Rows of a search at first. */
const FOUND_ROWS = 200;
/** Most rows of a search. */
export const MOST_FOUND_ROWS = 10_000;

/** State of the page. */
export interface MessagesView {
  readonly source: string;
  readonly list: ListName;
  /** Empty: every message. */
  readonly query: string;
  /** Which end of the list comes first. */
  readonly order: "newest" | "oldest";
  /** A place or a cursor; empty: the end that comes first. */
  readonly from: string;
  /** Where a page goes from `from`; empty: on in the order. */
  readonly direction: "" | "newer" | "older";
  /** Most rows of a search. */
  readonly limit: number;
  /** Whether the whole search is done before the page is sent: for browsers without scripts. */
  readonly wait: boolean;
  /** On a narrow screen, either is shown. */
  readonly view: "list" | "groups";
  /** Id of the message in the panel; empty: none. */
  readonly message: string;
  /** Its place when it was seen. */
  readonly near: number | null;
}

/** Reads an address. `sources`: the known ones; the first is the default. What cannot be used is as if it were absent. */
export function readView(params: URLSearchParams, sources: readonly string[]): MessagesView {
  const text = (name: string) => params.get(name)?.trim() ?? "";
  const number = (name: string) => /^[1-9]\d{0,14}$/.test(text(name)) ? Number(text(name)) : null;
  const one = <Value extends string>(name: string, of: readonly Value[]) => of.find((value) => value === text(name));
  return {
    source: text("source") || (sources[0] ?? ""),
    list: one("list", LIST_NAMES) ?? "dlq",
    query: text("query"),
    order: one("order", ["newest", "oldest"]) ?? "newest",
    from: text("from"),
    direction: one("direction", ["newer", "older"]) ?? "",
    limit: Math.min(number("limit") ?? FOUND_ROWS, MOST_FOUND_ROWS),
    wait: text("wait") === "1",
    view: one("view", ["list", "groups"]) ?? "list",
    message: /^m_[0-9a-f]{16}$/.test(text("message")) ? text("message") : "",
    near: number("near"),
  };
}

/** The address of a state. `part`: of a part of the page. Members with their defaults are left out. */
export function viewPath(view: Partial<MessagesView>, part = ""): string {
  const defaults: Partial<MessagesView> = { list: "dlq", order: "newest", view: "list", limit: FOUND_ROWS };
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(view) as [keyof MessagesView, MessagesView[keyof MessagesView]][]) {
    if (value === null || value === "" || value === false || value === defaults[name]) continue;
    params.set(name, value === true ? "1" : String(value));
  }
  return `/messages${part && `/${part}`}${params.size > 0 ? `?${params}` : ""}`;
}

/** What `browse` is asked for. */
export function pageInput({ source, list, order, from, direction }: MessagesView) {
  const onward = order === "newest" ? "older" : "newer";
  return from === ""
    ? { source, list, from: order, size: PAGE_ROWS }
    : { source, list, from, direction: direction || onward, size: PAGE_ROWS } as const;
}
