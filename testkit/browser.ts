/** A real browser for pages: Debian's Chromium, driven by playwright-core. */
import axe from "axe-core/axe.min.js" with { type: "text" };
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { onPath } from "../scripts/child.ts";
import { hasApt, installPackages } from "../scripts/debian.ts";

/** Where Debian and its like put the browser. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];
/** Longest wait for anything on a page, in milliseconds: generous, because other programs may use the processors. */
const PATIENCE_MS = 60_000;

/** A window that looks at the console. */
export interface Window extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the browser complained about: errors of scripts, refusals of the content security policy, failed requests. */
  readonly complaints: string[];
}

/** How a window looks. */
export interface WindowOptions {
  /** Default 1440. */
  readonly width?: number;
  /** Default `light`. */
  readonly scheme?: "light" | "dark";
}

/** Opens the browser; `null` where there is none and none can be installed. Installs it as root on Debian. */
export async function openBrowser(): Promise<Browser | null> {
  const program = findBrowser() ?? await install();
  if (program === null) return null;
  // Chromium's own sandbox does not work for root or in a container without user namespaces. It sees only pages of these tests.
  return await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** Whether there is a browser, or one can be installed. */
export function canBrowse(): boolean {
  return findBrowser() !== null || (Deno.uid() === 0 && hasApt());
}

function findBrowser(): string | null {
  return NAMES.map(onPath).find((path) => path !== undefined) ?? null;
}

async function install(): Promise<string | null> {
  if (!canBrowse()) return null;
  await installPackages(["chromium", "fonts-inter"]);
  return findBrowser();
}

/** Opens a window of its own: cookies of one are not those of another. */
export async function openWindow(
  browser: Browser,
  { width = 1440, scheme = "light" }: WindowOptions = {},
): Promise<Window> {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage(), complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  return { page, context, complaints, [Symbol.asyncDispose]: () => context.close() };
}

/** Runs in the page. */
const AXE_RUN = `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }).then(({ violations }) =>
  violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)) })))`;

/** Serious faults of accessibility: WCAG 2.1 A and AA. */
export async function findAxeFaults(page: Page): Promise<string[]> {
  // By the protocol: the content security policy refuses scripts that a page gets, and this one is not the page's.
  await page.evaluate(axe);
  const found = await page.evaluate(AXE_RUN) as { id: string; impact: string; nodes: string[] }[];
  return found.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.join(" | ")}`);
}
