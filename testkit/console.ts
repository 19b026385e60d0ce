/** The console as a user has it: the service with keys, and windows that are logged in. */
import type { Browser } from "playwright-core";
import { createKey } from "../src/config/create_key.ts";
import { type Role, ROLES } from "../src/config/api_keys.ts";
import { openWindow, type Window, type WindowOptions } from "./browser.ts";
import { type Service, startService } from "./service.ts";
import { waitUntil } from "./wait.ts";

/** A started service with its console. Use it with `await using`. */
export interface TestConsole extends AsyncDisposable {
  readonly service: Service;
  readonly url: string;
  readonly keys: Readonly<Record<Role, string>>;
  /** The keys as the configuration has them. */
  readonly entries: string;
  /** Opens a window that is logged in and shows `path` (default `/`). */
  open(browser: Browser, options?: WindowOptions & { role?: Role; path?: string }): Promise<Window>;
}

/** Starts the service on a Redis, with a key for each role. */
export async function startConsole(
  redis: { readonly port: number },
  { env = {} }: { env?: Readonly<Record<string, string>> } = {},
): Promise<TestConsole> {
  const made = ROLES.map((role) => [role, createKey({ name: `${role}-name`, role })] as const);
  const keys = Object.fromEntries(made.map(([role, { key }]) => [role, key])) as Record<Role, string>;
  const entries = made.map(([, { entry }]) => entry).join(",");
  const service = startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_API_PORT: "0" },
      REMEDIATION_API_KEYS: entries,
      ...env,
    },
  });
  const { api, health } = await service.ports({ timeoutMs: 60_000 }), url = `http://127.0.0.1:${api}`;
  // Nobody can log in before Redis answers.
  await waitUntil(async () => await isReady(health), { what: "the service is ready", timeoutMs: 60_000 });
  return {
    ...{ service, url, keys, entries },
    async open(browser, { role = "operator", path = "/", ...options } = {}) {
      const window = await openWindow(browser, options);
      await window.page.goto(`${url}/login?next=${encodeURIComponent(path)}`);
      await window.page.fill("input[name=key]", keys[role]);
      await window.page.click("button[type=submit]");
      await window.page.waitForSelector("main#main");
      return window;
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  await response.body?.cancel();
  return response.ok;
}
