/** Takes the pictures of the console in `docs/`: the demo's incident as a visitor sees it, in a real browser. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser } from "playwright-core";
import { type Incident, keepFeeding, openIncident } from "../demo/stay.ts";
import { openBrowser, openWindow, type WindowOptions } from "../testkit/browser.ts";
import { ROOT } from "./child.ts";
import { EXIT, runInterruptible } from "./program.ts";

/** How long the incident develops: some samples of the history, many probes of Moogsoft. */
const DEVELOP_MS = 75_000;
const SOURCE = "alerter";
/** What an operator has done, and what one is about to do. */
const DONE = { verb: "bury", query: "reason:malformed", reason: "no host name, cannot be delivered" };
const PLANNED = { verb: "redrive", query: "severity:critical", reason: "critical events first" };

/** A picture in `docs/`. */
interface Picture extends WindowOptions {
  readonly file: string;
  readonly path: string;
  /** What the page must show first. */
  readonly awaited: string;
  /** Whether it shows the page to its end; else what fits a window. */
  readonly isWhole: boolean;
}

const OVERVIEW = { path: "/", awaited: "#failures .groups", isWhole: true };
const PICTURES: readonly Picture[] = [
  { file: "console.png", ...OVERVIEW },
  { file: "console-dark.png", ...OVERVIEW, scheme: "dark" },
  { file: "console-messages.png", path: `/messages?source=${SOURCE}`, awaited: "#rows [data-row]", isWhole: false },
];

/** Takes all pictures. Resolves with the exit code. */
export async function runScreenshot(): Promise<number> {
  return await runInterruptible("screenshot", async (signal) => {
    const browser = await openBrowser();
    if (browser === null) {
      console.error("This needs a browser: run  sudo apt-get install chromium fonts-inter");
      return EXIT.bad;
    }
    try {
      await using incident = await openIncident({ seed: 1, replicas: 1, signal });
      const enough = new AbortController();
      const feeding = keepFeeding(incident.stage, { seed: 1, signal: enough.signal, tell: () => {} }).catch(() => {});
      try {
        await Promise.race([takeAll(browser, { incident, signal }), incident.gone]);
      } finally {
        enough.abort();
        await feeding;
      }
    } finally {
      await browser.close();
    }
    return EXIT.good;
  });
}

async function takeAll(
  browser: Browser,
  { incident, signal }: { incident: Incident; signal: AbortSignal },
): Promise<void> {
  const path = `sources/${SOURCE}/jobs/${await plan(incident, DONE)}/confirm`;
  await post(incident, { path, body: {} });
  console.log(`The incident develops for ${DEVELOP_MS / 1_000} s.`);
  await sleep(DEVELOP_MS, undefined, { signal });
  await plan(incident, PLANNED);
  for (const picture of PICTURES) {
    await take(browser, { incident, picture });
    console.log(`docs/${picture.file}`);
  }
}

/** Plans a job. Resolves with its id. */
async function plan(incident: Incident, { verb, ...body }: typeof DONE): Promise<string> {
  const { job } = await post(incident, { path: `sources/${SOURCE}/${verb}`, body }) as { job: { id: string } };
  return job.id;
}

async function post({ url, key }: Incident, { path, body }: { path: string; body: unknown }): Promise<unknown> {
  const headers = { "x-api-key": key, "content-type": "application/json" };
  const response = await fetch(`${url}/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return await response.json();
}

async function take(browser: Browser, { incident, picture }: { incident: Incident; picture: Picture }): Promise<void> {
  const { file, path, awaited, isWhole, ...options } = picture;
  await using opened = await openWindow(browser, options);
  const { page, complaints } = opened;
  // The link logs in, and shows the overview.
  await page.goto(await incident.makeLink());
  await page.waitForSelector("main#main");
  await page.goto(incident.url + path);
  await page.waitForSelector(awaited);
  await page.screenshot({ path: `${ROOT}docs/${file}`, fullPage: isWhole });
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
}
