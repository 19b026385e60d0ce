/** Runs promtool and a real Prometheus in tests. */
import assert from "node:assert/strict";
import { onPath, ROOT } from "../scripts/child.ts";
import { waitUntil } from "./wait.ts";
import { freePort } from "../scripts/free_port.ts";

/** Registers a test that needs a program. Skips it, with a message, if the program is not on `PATH`. */
export function withProgram(program: string, name: string, fn: () => Promise<void>): void {
  const ignore = onPath(program) === undefined;
  Deno.test({ name: `${name}${ignore ? ` (ignored: ${program} is not on PATH)` : ""}`, ignore, fn });
}

/** Runs a program in the repository's root. @throws AssertionError with its output if it fails */
export async function runProgram(program: string, ...args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: ROOT }).output();
  assert.ok(success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
}

/** A series: one value for an instant query, one per step for a range query. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Instant and value in Prometheus' format. */
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

/** A pending or firing alert. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

/** A loaded and evaluated rule. */
export interface LoadedRule {
  readonly name: string;
  readonly query: string;
  readonly type: "alerting" | "recording";
  readonly health: string;
  readonly lastError?: string;
}

/** A running Prometheus. Disposing stops it. */
export interface TestPrometheus extends AsyncDisposable {
  /** Runs an instant query now. */
  query(expression: string): Promise<readonly Series[]>;
  /** Runs a range query with steps of one second; bounds in milliseconds since the epoch. */
  queryRange(expression: string, span: { fromMs: number; toMs: number }): Promise<readonly Series[]>;
  alerts(): Promise<readonly ActiveAlert[]>;
  rules(): Promise<readonly LoadedRule[]>;
}

/** Starts Prometheus with this configuration in an existing folder. Resolves when it answers. */
export async function startPrometheus(config: string, dir: string): Promise<TestPrometheus> {
  const address = `127.0.0.1:${freePort()}`;
  await Deno.writeTextFile(`${dir}/prometheus.yml`, config);
  const child = new Deno.Command("prometheus", {
    args: [
      `--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=${address}`,
    ],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  const prometheus = new Started(child, `http://${address}`);
  try {
    const isUp = () => prometheus.query("vector(1)").then(() => true, () => false);
    await waitUntil(isUp, { what: "Prometheus answers", timeoutMs: 30_000 });
  } catch (error) {
    await prometheus[Symbol.asyncDispose]();
    throw error;
  }
  return prometheus;
}

class Started implements TestPrometheus {
  readonly #child: Deno.ChildProcess;
  readonly #url: string;

  constructor(child: Deno.ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  async query(query: string): Promise<readonly Series[]> {
    const { result, resultType } = await this.#ask<{ result: unknown[]; resultType: string }>("query", { query });
    if (resultType === "scalar") return [{ metric: {}, values: [result as [number, string]] }];
    return (result as { metric: Record<string, string>; value: [number, string] }[])
      .map(({ metric, value }) => ({ metric, values: [value] }));
  }

  async queryRange(query: string, { fromMs, toMs }: { fromMs: number; toMs: number }): Promise<readonly Series[]> {
    const span = { start: String(fromMs / 1_000), end: String(toMs / 1_000), step: "1" };
    return (await this.#ask<{ result: Series[] }>("query_range", { query, ...span })).result;
  }

  async alerts(): Promise<readonly ActiveAlert[]> {
    return (await this.#ask<{ alerts: ActiveAlert[] }>("alerts")).alerts;
  }

  async rules(): Promise<readonly LoadedRule[]> {
    const { groups } = await this.#ask<{ groups: { rules: LoadedRule[] }[] }>("rules");
    return groups.flatMap(({ rules }) => rules);
  }

  async #ask<T>(what: string, parameters: Record<string, string> = {}): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${what}?${new URLSearchParams(parameters)}`);
    const { status, error, data } = await response.json();
    if (status !== "success") throw new Error(`Prometheus refuses ${JSON.stringify(parameters)}: ${error}`);
    return data;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }
}
