/**
 * The console as people use it: a real browser, the program, a real Redis, and a stand-in for Moogsoft that is down at first.
 * Every wait is for something on the page, as long as it takes.
 */
import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import { canBrowse, findAxeFaults, openBrowser, type Window } from "../../testkit/browser.ts";
import { startConsole, type TestConsole } from "../../testkit/console.ts";
import { startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { KEYS } from "../../testkit/mutt/keys.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";

const PAGES = [
  ...["/", "/sources/alerter", "/messages?source=alerter", "/messages?source=alerter&list=dead", "/jobs", "/journal"],
  ...["/journal/verify", "/objectives", "/settings", "/replicas", "/messages?source=alerter&query=reason%3Ashed"],
];
/** What must do nothing: markup, a script, characters that turn the direction, a NUL, and a planted secret. */
const NASTY = JSON.stringify({
  ...{ timestamp: "2026-11-30T00:00:00Z", hostname: `"><img src=x onerror=document.title='owned'>`, severity: "Error" },
  message: "<script>document.title='owned'</script> \u202egnp.exe \u0000 </textarea><b>bold</b>",
  api_key: "planted-Secret-4711-abcdef",
});

function deadLetter(text: string, i: number): string {
  return JSON.stringify({
    ...{ timestamp: "2026-11-30T00:00:00Z", hostname: `core-${i}`, severity: i % 5, message: `${text} ${i}`, n: i },
  });
}

interface Scene extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly moog: ReturnType<typeof startMockMoog>;
  readonly console: TestConsole;
  readonly browser: Browser;
}

/** 40 messages "link down", 20 "timeout", and the nasty one; Moogsoft answers 503. */
async function openScene(env: Record<string, string> = {}): Promise<Scene> {
  await using parts = new AsyncDisposableStack();
  const redis = await startRedis();
  parts.defer(() => redis.stop());
  const moog = startMockMoog();
  parts.defer(() => moog.stop());
  moog.answerWith(503);
  const messages = [
    ...Array.from({ length: 40 }, (_, i) => deadLetter("link down", i)),
    ...Array.from({ length: 20 }, (_, i) => deadLetter("timeout after", i)),
  ];
  await redis.client().lpush(KEYS.dlqAlerter, ...messages, NASTY);
  const started = await startConsole(redis, {
    env: { MOOG_WEBHOOK_URL: moog.url, MOOG_HEALTH_CACHE_SECONDS: "1", REMEDIATION_INTERVAL: "3600", ...env },
  });
  parts.use(started);
  const browser = (await openBrowser())!;
  parts.defer(() => browser.close());
  const owned = parts.move();
  return { redis, moog, console: started, browser, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function testConsole(name: string, run: (scene: Scene) => Promise<void>, env: Record<string, string> = {}): void {
  Deno.test({
    name: `console: ${name}${canBrowse() ? "" : " (ignored: no Chromium, and none can be installed here)"}`,
    ignore: !canBrowse(),
    // The browser's driver keeps timers and pipes of its own until it is closed, and some of them a little longer.
    ...{ sanitizeOps: false, sanitizeResources: false },
    fn: async () => {
      await using scene = await openScene(env);
      await run(scene);
    },
  });
}

/** Opens a verb's sheet, says why, and arrives at the plan. */
async function plan(page: Page, button: string, reason: string): Promise<void> {
  await page.locator(`main button:has-text("${button}")`).first().click();
  await page.fill(":popover-open input[name=reason]", reason);
  await page.click(`:popover-open button:has-text("Show the plan")`);
  await page.waitForURL(/\/jobs\//);
}

async function confirm(page: Page): Promise<void> {
  await page.click("[data-confirm]");
  await page.waitForSelector(".chip:text-is('done')");
}

async function sees(page: Page, text: string | RegExp): Promise<void> {
  await page.getByText(text).first().waitFor();
}

function assertQuiet({ complaints }: Window): void {
  // A refusal that a test provokes is an error in the browser's own words.
  assert.deepEqual(complaints.filter((text) => !/the server responded with a status of 4\d\d/.test(text)), []);
}

testConsole("from what is stuck to the replay of one group", async ({ redis, moog, console, browser }) => {
  await using window = await console.open(browser);
  const { page } = window;
  await sees(page, /Waiting for Moogsoft/);
  await page.click(".groups a:has-text('link down')");
  await page.waitForURL(/query=group/);
  await sees(page, /^40 match/);
  await plan(page, "Replay", "the link is up again");
  await sees(page, "Replay 40 messages");
  await sees(page, /answered 503/);
  await page.click("[data-confirm]");
  await sees(page, "Put the others back");
  moog.answerWith(200);
  await page.waitForSelector(".chip:text-is('done')");
  const target = await redis.client().lrange(KEYS.ingest, 0, -1);
  assert.equal(target.filter((text) => text.includes("link down")).length, 40);
  assert.equal(target.filter((text) => text.includes("timeout")).length, 0);
  await page.goto(`${console.url}/journal?job=${page.url().split("/").at(-1)}`);
  await sees(page, /operator-name ran redrive on alerter/);
  assertQuiet(window);
});

testConsole("every verb on messages, and its undo", async ({ redis, moog, console, browser }) => {
  const client = redis.client(), depth = (key: string) => client.llen(key);
  await using window = await console.open(browser, { role: "admin", path: "/messages?source=alerter&query=timeout" });
  const { page } = window, list = `${console.url}/messages?source=alerter`;
  await sees(page, /^20 match/);
  await plan(page, "Dead-letter", "nobody needs them");
  await confirm(page);
  assert.deepEqual([await depth(KEYS.dlqAlerter), await depth(KEYS.dead)], [41, 20]);
  await page.click("button:has-text('Undo…')");
  await page.fill(":popover-open input[name=reason]", "wrong ones");
  await page.click(":popover-open button:has-text('Show the plan')");
  await sees(page, "Undo 20 messages");
  await confirm(page);
  assert.deepEqual([await depth(KEYS.dlqAlerter), await depth(KEYS.dead)], [61, 0]);
  // Three chosen rows are purged, and brought back.
  await page.goto(list);
  for (const i of [0, 1, 2]) await page.locator("input[name=ids]").nth(i).check();
  await sees(page, "3");
  await plan(page, "Purge", "duplicates");
  await sees(page, "Purge 3 messages");
  await confirm(page);
  assert.equal(await depth(KEYS.dlqAlerter), 58);
  await page.click("button:has-text('Undo…')");
  await page.fill(":popover-open input[name=reason]", "no duplicates");
  await page.click(":popover-open button:has-text('Show the plan')");
  await sees(page, "Undo 3 messages");
  await confirm(page);
  assert.equal(await depth(KEYS.dlqAlerter), 61);
  // One is edited in its place.
  await page.goto(`${list}&query=n%3A7+AND+link`);
  await page.click(".msgs a[data-row]");
  await page.click("button:has-text('Show raw…')");
  const raw = page.locator("textarea[name=payload]");
  await raw.fill((await raw.inputValue()).replace('"severity":2', '"severity":4'));
  await page.fill("#panel input[name=reason]", "wrong severity");
  await page.click("button:has-text('Replace the message')");
  await sees(page, /is now/);
  assert.ok(
    (await client.lrange(KEYS.dlqAlerter, 0, -1)).some((text) => text.includes('"severity":4,"message":"link down 7"')),
  );
  // What is in the dead list is revived.
  await page.goto(`${list}&query=timeout`);
  await plan(page, "Dead-letter", "nobody needs them");
  await confirm(page);
  moog.answerWith(200);
  await page.goto(`${list}&list=dead`);
  await plan(page, "Revive", "somebody needs them");
  await confirm(page);
  // Automatic replay may have begun its own cycle by now.
  const revived = (await client.lrange(KEYS.ingest, 0, -1)).filter((text) => text.includes("timeout"));
  assert.deepEqual([await depth(KEYS.dead), revived.length], [0, 20]);
  // An export is downloaded, without secrets.
  await page.goto(list);
  await page.click("button:has-text('Export…')");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.click(":popover-open a:has-text('Download')"),
  ]);
  const text = await Deno.readTextFile((await download.path())!);
  assert.match(text, /link down/);
  assert.ok(!text.includes("planted-Secret"));
  assertQuiet(window);
});

testConsole("a source is paused, resumed, and replayed now; a job is paused, resumed and cancelled", async (scene) => {
  const { redis, moog, console, browser } = scene;
  await using window = await console.open(browser);
  const { page } = window;
  await page.click("button:has-text('Pause…')");
  await page.click(":popover-open button:has-text('Pause alerter')");
  assert.equal(await page.locator(":popover-open").count(), 1, "without a reason nothing is sent");
  await page.fill(":popover-open input[name=reason]", "network work");
  await page.click(":popover-open button:has-text('Pause alerter')");
  await sees(page, /Paused.*operator-name/);
  await page.click("button:text-is('Resume')");
  await sees(page, /Waiting for Moogsoft/);
  await page.goto(`${console.url}/messages?source=alerter&query=link`);
  await plan(page, "Replay", "it works");
  await page.click("[data-confirm]");
  await page.click("button:text-is('Pause')");
  await page.waitForSelector(".chip:text-is('paused')");
  await page.click("button:text-is('Resume')");
  await page.waitForSelector(".chip:text-is('running')");
  await page.click("button:text-is('Cancel')");
  await page.waitForSelector(".chip:text-is('cancelled')");
  assert.equal(await redis.client().llen(KEYS.dlqAlerter), 61);
  moog.answerWith(200);
  await page.goto(`${console.url}/sources/alerter`);
  await page.click("button:has-text('Replay now…')");
  await page.click(":popover-open button[type=submit]");
  await waitUntil(async () => await redis.client().llen(KEYS.ingest) > 0, {
    what: "a cycle has begun",
    timeoutMs: 60_000,
  });
  assertQuiet(window);
});

testConsole("what a message holds does nothing, and its secret is nowhere", async ({ console, browser }) => {
  await using window = await console.open(browser, { path: "/messages?source=alerter&query=bold" });
  const { page } = window;
  await page.click(".msgs a[data-row]");
  await page.waitForSelector("#panel >> text=onerror");
  for (const path of ["/", "/messages?source=alerter&view=groups", page.url().slice(console.url.length)]) {
    await page.goto(console.url + path);
    assert.notEqual(await page.title(), "owned");
    const html = await page.content();
    assert.ok(!html.includes("planted-Secret") && !html.includes("\u202e") && !html.includes("<b>bold"), path);
    assert.equal(await page.locator("main img, main script").count(), 0);
  }
  assertQuiet(window);
});

testConsole("a viewer is offered nothing to do; a login link works once", async ({ console, browser }) => {
  await using window = await console.open(browser, { role: "viewer" });
  const { page } = window;
  for (const path of PAGES) {
    await page.goto(console.url + path);
    const offered = await page.locator("main form[method=post] button[type=submit], main button[popovertarget]")
      .allInnerTexts();
    assert.deepEqual(offered.filter((text) => !/Export/.test(text)), [], path);
  }
  const made = await fetch(`${console.url}/login/link`, {
    method: "POST",
    headers: { "x-api-key": console.keys.operator },
  });
  const { path } = await made.json() as { path: string };
  await using other = await console.open(browser, { role: "viewer" });
  await other.page.click("text=Log out");
  await other.page.goto(console.url + path);
  await sees(other.page, "operator · operator-name");
  await using third = await console.open(browser, { role: "viewer" });
  await third.page.context().clearCookies();
  await third.page.goto(console.url + path);
  await sees(third.page, /has been used or is too old/);
});

testConsole(
  "no page has a serious fault of accessibility or a complaint, or is wider than the screen",
  async (scene) => {
    const { console, browser } = scene, faults: string[] = [];
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1440, 380]) {
        await using opened = await console.open(browser, { role: "admin", scheme, width });
        for (const path of PAGES) {
          await opened.page.goto(console.url + path);
          await opened.page.waitForSelector("main h1", { state: "attached" });
          const wide = Number(await opened.page.evaluate("document.documentElement.scrollWidth - innerWidth"));
          if (wide > 0) faults.push(`${path} at ${width}: ${wide} pixels too wide`);
          faults.push(...(await findAxeFaults(opened.page)).map((fault) => `${path}, ${scheme}, ${width}: ${fault}`));
        }
        assertQuiet(opened);
      }
    }
    assert.deepEqual(faults, []);
  },
);

testConsole("says since when it is stale when its instance dies, and goes on at the next one", async (scene) => {
  const { redis, moog, console, browser } = scene;
  await using window = await console.open(browser);
  const { page } = window, port = new URL(console.url).port;
  await page.waitForSelector("#lamp:not(.off) >> text=live");
  console.service.signal("SIGKILL");
  await page.waitForSelector("#lamp.off >> text=/as of .*reconnecting/");
  assert.equal(await page.locator("body.stale").count(), 1);
  await using next = await startConsole(redis, {
    env: { MOOG_WEBHOOK_URL: moog.url, REMEDIATION_API_PORT: port, REMEDIATION_API_KEYS: console.entries },
  });
  assert.equal(next.url, console.url);
  await page.waitForSelector("#lamp:not(.off) >> text=live");
  assert.equal(await page.locator("body.stale").count(), 0);
});

testConsole("what a form is answered stays while the page is renewed; a plan that is gone is said", async (scene) => {
  const { redis, console, browser } = scene, client = redis.client();
  await using window = await console.open(browser, { path: "/messages?source=alerter&query=link" });
  const { page } = window;
  await plan(page, "Replay", "the link is up again");
  await redis.popList(KEYS.dlqAlerter, 3);
  await page.click("[data-confirm]");
  await sees(page, "Allow a change of 3, and go on");
  // A window that is shown again gets every live part anew: what was not rendered by the server is gone.
  await page.evaluate(`(() => {
    document.querySelector("#job-acts .acts").dataset.old = "1";
    for (const hidden of [true, false]) {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }
  })()`);
  await page.waitForSelector("#job-acts .acts:not([data-old])");
  assert.equal(await page.getByText("Allow a change of 3, and go on").count(), 1);
  await client.del(...(await client.keys(`*:jobs:${page.url().split("/").at(-1)}*`)));
  await sees(page, /is not a job of the source that is kept/);
});

testConsole(
  "after a sleep of the computer, the page does not wait for a dead connection",
  async ({ console, browser }) => {
    await using window = await console.open(browser);
    const { page } = window;
    await page.clock.install();
    await page.reload();
    await page.waitForSelector("#lamp:not(.off) >> text=live");
    const anew = page.waitForRequest(/\/live\?/);
    await page.clock.fastForward(60_000);
    await anew;
    await page.waitForSelector("#lamp:not(.off) >> text=live");
  },
);
