/** The console in the demo: a key of its own, and a link that logs in once. */
import { createKey } from "../src/config/create_key.ts";

/** The port that the documentation names; another one if it is taken. */
const USUAL_PORT = 8088;

/** A key, and the variables with which the service accepts it. */
export function createConsoleKey(): { readonly text: string; readonly env: Record<string, string> } {
  const { key, entry } = createKey({ name: "demo", role: "admin" });
  return {
    text: key,
    env: { REMEDIATION_API_KEYS: entry, REMEDIATION_API_PORT: String(isFree(USUAL_PORT) ? USUAL_PORT : 0) },
  };
}

/** Makes a link. Rejects if the API does not answer. */
export async function makeLoginLink(port: number, key: string): Promise<string> {
  const url = `http://127.0.0.1:${port}`;
  const response = await fetch(`${url}/login/link`, { method: "POST", headers: { "x-api-key": key } });
  if (!response.ok) throw new Error(`no login link: ${response.status} ${await response.text()}`);
  return `${url}${(await response.json() as { path: string }).path}`;
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch {
    return false;
  }
}
