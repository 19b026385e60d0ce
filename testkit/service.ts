/** Starts the service as a user does: in its own process with its own environment. */
import { permissionFlags } from "../scripts/compile.ts";
import { ROOT } from "../scripts/child.ts";
import { PLANTED } from "./planted_secrets.ts";
import { watchOutput } from "./secrets_net.ts";
import { waitUntil } from "./wait.ts";

/** Options of a start. */
export interface ServiceOptions {
  /** Command and flags. Default: none, which is `run`. */
  readonly args?: readonly string[];
  /** Its whole environment. Defaults: any free ports (0), the loopback address, a planted API key. */
  readonly env?: Readonly<Record<string, string>>;
  /** Flags of `deno run` instead of those of the compile. It then runs from source even if a binary exists. */
  readonly permissions?: readonly string[];
  /** Limit of file descriptors. Default: that of this process. */
  readonly fileDescriptors?: number;
  /** Working directory, where it looks for `.env`. Default: the system's temporary directory. */
  readonly cwd?: string;
}

/** Exit of a process. */
export interface Exit {
  readonly code: number;
  readonly signal: Deno.Signal | null;
}

/** A started service. Use it with `await using`, which kills it at the end. */
export interface Service extends AsyncDisposable {
  readonly pid: number;
  /** Lines so far. */
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  /** Resolves when it has ended and all its output has arrived. */
  readonly exit: Promise<Exit>;
  /** Waits (default 10 s) for its log line `listening`. Rejects with its output if it ends first. No `api`: it is not open. */
  ports(options?: { timeoutMs?: number }): Promise<{ health: number; metrics: number; api?: number }>;
  /** Waits (default 10 s) for a line on either stream. Rejects with its output if it ends first. */
  waitForLine(matches: RegExp | ((line: string) => boolean), options?: { timeoutMs?: number }): Promise<string>;
  /** Waits (10 s) until its metrics match: a move is counted once its reply is there. @returns all of them */
  waitForMetrics(pattern: RegExp): Promise<string>;
  /** Log lines so far that carry this event. */
  events(event: string): Record<string, unknown>[];
  /** Sends a signal. Does nothing if the process has ended. */
  signal(signal: Deno.Signal): void;
}

/** Variables with which `deno run` finds its cache; the service itself cannot read them. */
const DENO_NEEDS = ["HOME", "DENO_DIR", "XDG_CACHE_HOME"];

/** Starts the binary in `MUTT_REMEDIATION_BINARY`, else `src/main.ts` with the permissions of the compile. */
export function startService({ args = [], env = {}, permissions, fileDescriptors, cwd }: ServiceOptions = {}): Service {
  const { program, prefix, needs } = howToRun(permissions);
  const limited = fileDescriptors === undefined
    ? [program]
    : ["/bin/sh", "-c", `ulimit -n ${fileDescriptors} && exec "$0" "$@"`, program];
  const child = new Deno.Command(limited[0]!, {
    args: [...limited.slice(1), ...prefix, ...args],
    env: {
      ...needs,
      REMEDIATION_BIND_ADDRESS: "127.0.0.1",
      HEALTH_PORT_REMEDIATION: "0",
      METRICS_PORT_REMEDIATION: "0",
      REMEDIATION_LOCAL_KEY_FILE: "none",
      MOOG_API_KEY: PLANTED.moogApiKey,
      ...env,
    },
    clearEnv: true,
    cwd: cwd ?? Deno.env.get("TMPDIR") ?? "/tmp",
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  return new StartedService(child);
}

/** The program to start, the arguments before the caller's, and variables for the runtime. */
export function howToRun(
  permissions?: readonly string[],
): { program: string; prefix: string[]; needs: Record<string, string> } {
  const binary = Deno.env.get("MUTT_REMEDIATION_BINARY");
  if (binary && !permissions) {
    return { program: binary.startsWith("/") ? binary : ROOT + binary, prefix: [], needs: {} };
  }
  const needs = DENO_NEEDS.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  // The folder node_modules is there, or no test would run. To bring it up to date, processes would wait for each other, and say so.
  const flags = [`--config=${ROOT}deno.json`, "--node-modules-dir=manual", ...permissions ?? permissionFlags()];
  return {
    program: Deno.execPath(),
    prefix: ["run", ...flags, `${ROOT}src/main.ts`],
    needs: { ...Object.fromEntries(needs), NO_COLOR: "1" },
  };
}

class StartedService implements Service {
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly exit: Promise<Exit>;
  readonly #child: Deno.ChildProcess;
  #ended: Exit | undefined;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    const read = (["stdout", "stderr"] as const).map((stream) =>
      collectLines(child[stream], { stream, lines: this[stream] })
    );
    this.exit = Promise.all([child.status, ...read]).then(([{ code, signal }]) => this.#ended = { code, signal });
  }

  get pid(): number {
    return this.#child.pid;
  }

  async ports(options?: { timeoutMs?: number }): Promise<{ health: number; metrics: number; api?: number }> {
    await this.waitForLine((line) => parseLog(line)?.event === "listening", options);
    const [listening] = this.events("listening");
    const { health_port, metrics_port, api_port } = listening ?? {};
    const api = api_port === undefined ? {} : { api: Number(api_port) };
    return { health: Number(health_port), metrics: Number(metrics_port), ...api };
  }

  waitForLine(
    matches: RegExp | ((line: string) => boolean),
    { timeoutMs = 10_000 }: { timeoutMs?: number } = {},
  ): Promise<string> {
    const isIt = matches instanceof RegExp ? (line: string) => matches.test(line) : matches;
    return waitUntil(() => {
      const line = [...this.stdout, ...this.stderr].find(isIt);
      if (line === undefined && this.#ended) {
        throw new Error(`The service ended without such a line: ${this.#describe()}`);
      }
      return line;
    }, { what: `the service writes a line like ${matches}`, timeoutMs }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#describe()}`);
    });
  }

  async waitForMetrics(pattern: RegExp): Promise<string> {
    const { metrics } = await this.ports();
    return await waitUntil(async () => {
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      return pattern.test(text) ? text : null;
    }, { what: `the metrics match ${pattern}`, timeoutMs: 10_000 });
  }

  events(event: string): Record<string, unknown>[] {
    return this.stderr.flatMap((line) => {
      const entry = parseLog(line);
      return entry?.event === event ? [entry] : [];
    });
  }

  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.exit;
  }

  #describe(): string {
    const how = this.#ended ? `exit ${this.#ended.code}` : "still running";
    return [how, ...this.stdout.slice(-20), ...this.stderr.slice(-20)].join("\n  ");
  }
}

function parseLog(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

async function collectLines(
  output: ReadableStream<Uint8Array>,
  { stream, lines }: { stream: string; lines: string[] },
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  const take = (line: string) => {
    lines.push(line);
    watchOutput(`${stream} of the service`, line);
  };
  for await (const bytes of output) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() as string;
    parts.forEach(take);
  }
  if (rest !== "") take(rest);
}
