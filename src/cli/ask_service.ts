/** Queries the service on this machine through its ports without a key. */
import { get } from "node:http";
import { FIELDS, type Settings } from "../config/fields.ts";
import { loopbacksFor } from "../config/loopback.ts";

/** Request timeout, in milliseconds. */
const TIMEOUT_MS = 5_000;

/** The response, or the reason why there is none: one line for each address tried. */
export type ServiceAnswer =
  | { readonly ok: true; readonly status: number; readonly text: string }
  | { readonly ok: false; readonly why: string };

/** Requests a page. Never rejects. */
export async function askService(
  settings: Pick<Settings, "bindAddress" | "healthPort" | "metricsPort">,
  { path, accept, port = "health" }: { path: string; accept: string; port?: "health" | "metrics" },
): Promise<ServiceAnswer> {
  const tried: string[] = [];
  const key = `${port}Port` as const;
  for (const host of loopbacksFor(settings.bindAddress)) {
    const url = `http://${host}:${settings[key]}${path}`;
    try {
      return { ok: true, ...await ask(url, accept) };
    } catch (error) {
      const isLate = error instanceof Error && error.message === LATE;
      const why = isLate ? `no answer within ${TIMEOUT_MS / 1_000} s` : "nothing listens there";
      tried.push(`Cannot ask ${url}: ${why} (${FIELDS[key].variable}, REMEDIATION_BIND_ADDRESS)`);
    }
  }
  return { ok: false, why: tried.join("\n") };
}

const LATE = "late";

/** Connects directly: `fetch` would use a proxy from the environment and mistake its response for the service's. */
function ask(url: string, accept: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers: { accept }, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => text += part);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(LATE)));
    request.on("error", reject);
  });
}
