/** The console: how soon a page is there, and what open consoles cost the service that replays. */
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { canBrowse, openBrowser } from "../../testkit/browser.ts";
import { startConsole, type TestConsole } from "../../testkit/console.ts";
import { startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import type { Bench, Family, Figures, Row, Scale, Table, Target } from "../harness/family.ts";
import { readCpuUs } from "../harness/process_cpu.ts";
import { readPeakMib, readResidentMib, resetPeak } from "../harness/process_memory.ts";
import { median } from "../harness/rounds.ts";

/** What is measured at each scale. */
interface Range {
  readonly messages: number;
  readonly requests: number;
  readonly watchers: number;
  readonly watchMs: number;
}

const RANGES: Readonly<Record<Scale, Range>> = {
  short: { messages: 500, requests: 3, watchers: 3, watchMs: 2_000 },
  full: { messages: 1_000_000, requests: 50, watchers: 50, watchMs: 30_000 },
};
const BYTES = 400;
const PAGES = [
  ["overview", "/"],
  ["source", "/sources/alerter"],
  ["messages, newest", "/messages?source=alerter"],
  ["messages, middle", "/messages?source=alerter&from=MIDDLE"],
  ["journal", "/journal"],
  ["settings", "/settings"],
] as const;
const P50 = "p50 ms", P95 = "p95 ms", KIB = "KiB", CPU = "% of a processor", PEAK = "peak MiB", STREAM = "KiB/s each";
/** Runs in the page: when its content was painted first, in milliseconds since it was asked for. */
const FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
const MOST_PAGE_MS = 100, MOST_PAINT_MS = 300, MOST_CPU = 5, MOST_MORE_MIB = 60;

/** The family. */
export const CONSOLE: Family = {
  name: "console",
  about: "the console: pages, the first paint in a browser, and what 50 open consoles cost",
  async run(bench) {
    const range = RANGES[bench.scale];
    await using redis = await BenchRedis.start();
    bench.tell(`${range.messages.toLocaleString("en")} messages, held by Moogsoft`);
    await redis.seed({ count: range.messages, bytes: BYTES });
    await redis.load(range.messages);
    const moog = startMockMoog();
    try {
      moog.answerWith(503);
      await using console = await startConsole(redis, { env: { MOOG_WEBHOOK_URL: moog.url } });
      const place = { console, bench, range, cookie: await logIn(console) };
      return [await measurePages(place), await measureWatchers(place)];
    } finally {
      await moog.stop();
    }
  },
};

interface Place {
  readonly console: TestConsole;
  readonly bench: Bench;
  readonly range: Range;
  readonly cookie: string;
}

async function logIn({ url, keys }: TestConsole): Promise<string> {
  const response = await fetch(`${url}/login`, {
    ...{ method: "POST", redirect: "manual", body: new URLSearchParams({ key: keys.operator }) },
  });
  await response.body?.cancel();
  return response.headers.get("set-cookie")!.split(";")[0]!;
}

async function measurePages({ console, bench, range: { messages, requests }, cookie }: Place): Promise<Table> {
  const rows: Row[] = [];
  for (const [name, path] of PAGES) {
    bench.tell(name);
    const url = console.url + path.replace("MIDDLE", String(Math.ceil(messages / 2))), times: number[] = [];
    let length = 0;
    for (let i = 0; i < requests; i++) {
      const startedAtMs = performance.now();
      const response = await fetch(url, { headers: { cookie, accept: "text/html" } }), text = await response.text();
      if (response.status !== 200) throw new Error(`${path} answered ${response.status}`);
      times.push(performance.now() - startedAtMs);
      length = text.length;
    }
    times.sort((one, other) => one - other);
    const p95 = times[Math.min(times.length - 1, Math.floor(times.length * 0.95))]!;
    rows.push({ name, figures: { [P50]: median(times), [P95]: p95, [KIB]: length / 1_024 } });
  }
  const paintMs = await measurePaint(console);
  rows.push({ name: "overview, first paint in Chromium", figures: { [P50]: paintMs, [P95]: null, [KIB]: null } });
  const of = (name: string) => rows.find((row) => row.name === name)?.figures[P50] ?? null;
  return {
    title: `Pages, ${messages.toLocaleString("en")} messages of ${BYTES} bytes`,
    rows,
    notes: paintMs === null ? ["No Chromium here: the first paint is left out."] : [],
    targets: [
      atMost("page of messages, newest, p50", MOST_PAGE_MS, "ms", of("messages, newest")),
      atMost("page of messages, middle, p50", MOST_PAGE_MS, "ms", of("messages, middle")),
      atMost("first paint of the overview", MOST_PAINT_MS, "ms", paintMs),
    ],
  };
}

/** Of a browser that has seen the console before. */
async function measurePaint(console: TestConsole): Promise<number | null> {
  const browser = canBrowse() ? await openBrowser() : null;
  if (browser === null) return null;
  try {
    await using opened = await console.open(browser);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      await opened.page.goto(`${console.url}/`);
      const paint = await waitUntil(async () => await opened.page.evaluate(FIRST_PAINT) ?? undefined, {
        ...{ what: "the page is painted", timeoutMs: 30_000 },
      });
      times.push(Number(paint));
    }
    return median(times);
  } finally {
    await browser.close();
  }
}

/** The same service with nobody looking, then with all of them. */
async function measureWatchers({ console, bench, range: { watchers, watchMs }, cookie }: Place): Promise<Table> {
  bench.tell("nobody looks");
  const rest = await measureCost(console, watchMs);
  bench.tell(`${watchers} open consoles`);
  const over = new AbortController();
  let bytes = 0;
  const open = Array.from({ length: watchers }, async () => {
    const response = await fetch(`${console.url}/live?at=%2F`, { headers: { cookie }, signal: over.signal });
    if (response.status !== 200) throw new Error(`a stream answered ${response.status}`);
    for await (const part of response.body!) bytes += part.length;
  }).map((stream) =>
    stream.catch((error) => {
      if (!over.signal.aborted) throw error;
    })
  );
  const watched = await measureCost(console, watchMs);
  over.abort();
  await Promise.all(open);
  const each = bytes / 1_024 / watchers / (watchMs / 1_000), more = difference(watched, rest, CPU);
  return {
    title: "Open consoles, all on the overview",
    rows: [
      { name: "nobody looks", figures: { ...rest, [STREAM]: null } },
      { name: `${watchers} look`, figures: { ...watched, [STREAM]: each } },
    ],
    targets: [
      atMost(`${watchers} open consoles: more of a processor`, MOST_CPU, "%", more),
      atMost(
        `${watchers} open consoles: more memory at the peak`,
        MOST_MORE_MIB,
        "MiB",
        difference(watched, rest, PEAK),
      ),
    ],
  };
}

async function measureCost({ service: { pid } }: TestConsole, ms: number): Promise<Figures> {
  await resetPeak(pid);
  const before = await readCpuUs(pid), startedAtMs = performance.now();
  await SYSTEM_CLOCK.sleep(ms);
  const after = await readCpuUs(pid), tookUs = (performance.now() - startedAtMs) * 1_000;
  const cpu = before === null || after === null ? null : (after - before) / tookUs * 100;
  return { [CPU]: cpu, "resident MiB": await readResidentMib(pid), [PEAK]: await readPeakMib(pid) };
}

function difference(one: Figures, other: Figures, heading: string): number | null {
  const [left, right] = [one[heading], other[heading]];
  return left == null || right == null ? null : Math.max(0, left - right);
}

function atMost(what: string, limit: number, unit: string, value: number | null): Target {
  return { what, bound: "at most", limit, unit, value };
}
