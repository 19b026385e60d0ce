/** Finds Redis and runs servers for tests, the demo and development. Never touches a server that it did not start. */
import { spawnSync } from "node:child_process";
import { onPath } from "./child.ts";
import { hasApt, installPackages } from "./debian.ts";
import { freePort } from "./free_port.ts";

const HOST = "127.0.0.1";
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 5;
/** Attempts with another port if a program takes the chosen one first. */
export const PORT_ATTEMPTS = 5;

/** Programs that are a Redis server, in order of preference. */
const PROGRAMS = ["redis-server", "valkey-server", "redis-check-rdb"];

/** Variable with the path of the server program to use instead of the machine's, e.g. another version's. */
export const SERVER_VARIABLE = "MUTT_TEST_REDIS";

/** Facts for choosing a Redis server. */
export interface Surroundings {
  /** Path of the first known program, if any is installed; else of what {@link SERVER_VARIABLE} names. */
  readonly found: string | undefined;
  readonly os: typeof Deno.build.os;
  readonly isRoot: boolean;
  /** Whether the terminal is interactive. */
  readonly hasTerminal: boolean;
  readonly hasApt: boolean;
}

/** How to get a Redis server. */
export type Decision =
  | { readonly kind: "use"; readonly path: string }
  | { readonly kind: "install" }
  | { readonly kind: "refuse"; readonly message: string };

/**
 * Chooses. Pure. Installs only as root without a terminal (a container, CI), so that it never changes a user's machine.
 */
export function decideRedis({ found, os, isRoot, hasTerminal, hasApt }: Surroundings): Decision {
  if (found) return { kind: "use", path: found };
  if (isRoot && !hasTerminal && hasApt) return { kind: "install" };
  const command = os === "darwin" ? "brew install valkey" : "sudo apt-get install redis-tools";
  return { kind: "refuse", message: `This needs a Redis server program: run  ${command}` };
}

/**
 * Finds a Redis server: what {@link SERVER_VARIABLE} names, else `redis-server`, `valkey-server`, or Debian's `redis-check-rdb`, which
 * is the same program and comes with `redis-tools`, without a system service. If none is installed, see {@link decideRedis}.
 *
 * @throws Error with advice in one line
 */
export async function findRedisServer(): Promise<string> {
  const decision = decideRedis(lookAround());
  if (decision.kind === "use") return decision.path;
  if (decision.kind === "refuse") throw new Error(decision.message);
  await installRedisTools();
  const path = findProgram();
  if (!path) throw new Error("redis-tools is installed, but brought no Redis server program");
  return path;
}

function lookAround(): Surroundings {
  return {
    found: findProgram(),
    os: Deno.build.os,
    isRoot: Deno.uid() === 0,
    hasTerminal: Deno.stdin.isTerminal(),
    hasApt: hasApt(),
  };
}

function findProgram(): string | undefined {
  return Deno.env.get(SERVER_VARIABLE) ?? PROGRAMS.map(onPath).find((path) => path !== undefined);
}

/** What a server program says about itself. */
export interface ServerVersion {
  readonly name: "Redis" | "Valkey";
  /** E.g. `7.0.15`. */
  readonly version: string;
}

/** Asks a server program for its version. @throws Error with its output if it is none */
export function readServerVersion(path: string): ServerVersion {
  // redis-check-rdb is a server only by that name.
  const { stdout, stderr, error } = spawnSync(path, ["--version"], { argv0: "redis-server", encoding: "utf8" });
  const [, name = "Redis", version] = /^(?:(Redis|Valkey) )?server v=([\d.]+)/i.exec(stdout ?? "") ?? [];
  if (version === undefined) {
    const output = `${error?.message ?? ""}${stdout ?? ""}${stderr ?? ""}`.trim();
    throw new Error(`${path} is not a Redis server: --version says ${JSON.stringify(output)}`);
  }
  return { name: name as ServerVersion["name"], version };
}

/** The version of the server that {@link findRedisServer} finds; `null` if none is installed. @throws Error as {@link readServerVersion} */
export function foundServerVersion(): ServerVersion | null {
  const path = findProgram();
  return path === undefined ? null : readServerVersion(path);
}

async function installRedisTools(): Promise<void> {
  console.error("No Redis server program here: installing Debian's redis-tools (it starts no service)");
  await installPackages(["redis-tools"]);
}

/** Options of a server. */
export interface RedisServerOptions {
  /**
   * Lines of redis.conf, e.g. `["maxmemory 20mb", "requirepass secret"]`. Paths are relative to the server's folder.
   */
  readonly config?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
  /** Whether it is a Sentinel; `config` then names the monitored servers. */
  readonly sentinel?: boolean;
  /** An existing folder for the server's files, kept at `stop()`. Default: a new one, removed at `stop()`. */
  readonly dir?: string;
}

/** A running server. */
export interface RedisServer {
  readonly port: number;
  /** `redis://127.0.0.1:<port>`, without any password. */
  readonly url: string;
  /** Process id of the server; changes with `restart()`. */
  readonly pid: number;
  /** Folder of its files: `redis.conf`, `redis.log`, Unix sockets, dumps. */
  readonly dir: string;
  /** Kills the server in any state and removes its files. Safe to call twice. */
  stop(): Promise<void>;
  /** Sends a signal. If that ends the server, resolves when it has ended. */
  kill(signal: Deno.Signal): Promise<void>;
  /** Restarts it on the same port with the same files. A running server gets SIGTERM first. */
  restart(): Promise<void>;
}

/**
 * Starts a server on 127.0.0.1 and resolves when it answers. Without persistence unless `config` enables it. If this
 * process dies, even by `kill -9`, the server dies too.
 *
 * @throws Error with the end of the server's log if it does not start, or if no Redis program is found
 */
export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const path = await findRedisServer();
  const dir = options.dir ?? await Deno.makeTempDir({ prefix: "redis-" });
  try {
    const program = await asRedisServer(path, dir);
    for (let attempt = 1;; attempt++) {
      const port = options.port ?? freePort();
      const server = new OwnServer({
        program,
        port,
        dir,
        config: options.config ?? [],
        sentinel: options.sentinel ?? false,
        keepsDir: options.dir !== undefined,
      });
      const problem = await server.start();
      if (!problem) return server;
      const retry = options.port === undefined && attempt < PORT_ATTEMPTS && /Address already in use/i.test(problem);
      if (!retry) throw new Error(`Redis did not start on port ${port}: ${problem}`);
    }
  } catch (error) {
    if (options.dir === undefined) await Deno.remove(dir, { recursive: true });
    throw error;
  }
}

/** The program behaves according to its own name, so `redis-check-rdb` runs through a link. */
async function asRedisServer(path: string, dir: string): Promise<string> {
  if (!path.endsWith("/redis-check-rdb")) return path;
  const link = `${dir}/redis-server`;
  await Deno.symlink(path, link).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  return link;
}

interface OwnServerOptions {
  readonly program: string;
  readonly port: number;
  readonly dir: string;
  readonly config: readonly string[];
  readonly sentinel: boolean;
  readonly keepsDir: boolean;
}

class OwnServer implements RedisServer {
  readonly #options: OwnServerOptions;
  #child: Deno.ChildProcess | undefined;
  #guard: Guard | undefined;
  #exited = true;
  #stopped = false;

  constructor(options: OwnServerOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#options.port;
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  get dir(): string {
    return this.#options.dir;
  }

  get pid(): number {
    if (!this.#child) throw new Error("the Redis server was never started");
    return this.#child.pid;
  }

  /** @returns the end of the log if it did not start */
  async start(): Promise<string | undefined> {
    const { program, port, dir, config, sentinel, keepsDir } = this.#options;
    await Deno.writeTextFile(`${dir}/redis.conf`, formatConfig({ port, config }));
    await Deno.writeTextFile(this.#log, "");
    // Detached: on Ctrl-C the caller stops the server when it is ready to. Through a shell, which the server replaces,
    // because errors in the configuration go only to stderr.
    const child = new Deno.Command("sh", {
      args: ["-c", 'exec "$1" redis.conf $2 >>redis.log 2>&1', "redis", program, sentinel ? "--sentinel" : ""],
      cwd: dir,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    this.#child = child;
    this.#exited = false;
    child.status.then(() => {
      if (this.#child === child) this.#exited = true;
    });
    this.#guard = startGuard({ pid: child.pid, dir: keepsDir ? undefined : dir });
    if (await this.#answersInTime()) return undefined;
    await this.#end("SIGKILL");
    return (await Deno.readTextFile(this.#log)).trim().split("\n").slice(-5).join("\n") || "it wrote no log";
  }

  /** Checks the log first: if another server took the port, it would answer. */
  async #answersInTime(): Promise<boolean> {
    const giveUpAtMs = performance.now() + START_TIMEOUT_MS;
    while (!this.#exited && performance.now() < giveUpAtMs) {
      if (
        (await Deno.readTextFile(this.#log)).includes(this.#readyLine) && await answersPing(this.port)
      ) {
        return true;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return false;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#end("SIGKILL");
    if (!this.#options.keepsDir) await Deno.remove(this.dir, { recursive: true });
  }

  async kill(signal: Deno.Signal): Promise<void> {
    if (["SIGSTOP", "SIGCONT"].includes(signal)) this.#child?.kill(signal);
    else await this.#end(signal);
  }

  async restart(): Promise<void> {
    if (this.#stopped) throw new Error("a stopped Redis server cannot be started again");
    await this.#end("SIGTERM");
    const problem = await this.start();
    if (problem) throw new Error(`Redis did not start again on port ${this.port}: ${problem}`);
  }

  async #end(signal: Deno.Signal): Promise<void> {
    if (!this.#exited) this.#child?.kill(signal);
    await this.#child?.status;
    await this.#guard?.dismiss();
    this.#guard = undefined;
  }

  get #readyLine(): string {
    return this.#options.sentinel ? "Sentinel ID is" : "Ready to accept connections";
  }

  get #log(): string {
    return `${this.dir}/redis.log`;
  }
}

/** Later lines win, so a caller's `config` overrides everything except the port. */
function formatConfig({ port, config }: { port: number; config: readonly string[] }): string {
  return [
    `bind ${HOST}`,
    'save ""',
    "appendonly no",
    "daemonize no",
    'logfile "redis.log"',
    ...config,
    `port ${port}`,
    "",
  ].join("\n");
}

/** Whether a server accepts commands, or requires a password first. */
async function answersPing(port: number): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: HOST, port });
    await connection.write(new TextEncoder().encode("PING\r\n"));
    const buffer = new Uint8Array(64);
    const count = await connection.read(buffer) ?? 0;
    return /^(\+PONG|-NOAUTH|-NOPERM)/.test(new TextDecoder().decode(buffer.subarray(0, count)));
  } catch {
    return false;
  }
}

/** A guard of a process. */
export interface Guard {
  /** Call it when the process has ended. */
  dismiss(): Promise<void>;
}

/** Starts a shell that kills a process, and removes a folder, when its input ends, which happens when this process dies. */
export function startGuard({ pid, dir }: { pid: number; dir?: string | undefined }): Guard {
  const clean = dir === undefined ? "" : '; rm -rf "$2"';
  const shell = new Deno.Command("sh", {
    args: ["-c", `read -r _; kill -9 "$1"${clean}`, "redis-guard", String(pid), dir ?? ""],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    detached: true,
  }).spawn();
  return {
    async dismiss() {
      shell.kill("SIGKILL");
      await shell.status;
      await shell.stdin.close().catch(() => {});
    },
  };
}
