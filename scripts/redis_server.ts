/** Finds Redis, and runs own servers for tests, the demo and development. Never touches a server that it did not start. */
import { onPath } from "./child.ts";
import { hasApt, installPackages } from "./debian.ts";

const HOST = "127.0.0.1";
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 5;
/** How often a port that somebody else took meanwhile is replaced by another. */
const PORT_ATTEMPTS = 5;

/** Programs that are a Redis server, in the order in which they are looked for. */
const PROGRAMS = ["redis-server", "valkey-server", "redis-check-rdb"];

/** What the decision about Redis rests on. */
export interface Surroundings {
  /** Path of the first of the known programs, if there is one. */
  readonly found: string | undefined;
  readonly os: typeof Deno.build.os;
  readonly isRoot: boolean;
  /** Whether a person may be sitting there. */
  readonly hasTerminal: boolean;
  readonly hasApt: boolean;
}

/** What to do about Redis. */
export type Decision =
  | { readonly kind: "use"; readonly path: string }
  | { readonly kind: "install" }
  | { readonly kind: "refuse"; readonly message: string };

/** Decides; pure. Installs only as root without a terminal (a container, CI): nobody else's machine is changed. */
export function decideRedis({ found, os, isRoot, hasTerminal, hasApt }: Surroundings): Decision {
  if (found) return { kind: "use", path: found };
  if (isRoot && !hasTerminal && hasApt) return { kind: "install" };
  const command = os === "darwin" ? "brew install valkey" : "sudo apt-get install redis-tools";
  return { kind: "refuse", message: `This needs a Redis server program: run  ${command}` };
}

/**
 * Path of a program that is a Redis server: `redis-server`, `valkey-server`, or Debian's `redis-check-rdb`, which is the
 * same program (`redis-tools` has it without a system service). Without any, see {@link decideRedis}.
 *
 * @throws Error with one line on what to do.
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
  return PROGRAMS.map(onPath).find((path) => path !== undefined);
}

async function installRedisTools(): Promise<void> {
  console.error("No Redis server program here: installing Debian's redis-tools (it starts no service)");
  await installPackages(["redis-tools"]);
}

/** How an own server is to be. */
export interface RedisServerOptions {
  /** Lines of redis.conf, e.g. `["maxmemory 20mb", "requirepass secret"]`. Paths are below the server's folder. */
  readonly config?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
  /** Whether it is a Sentinel; then `config` says what it watches. */
  readonly sentinel?: boolean;
  /** An existing folder for the server's files; it stays. Default: a new one, removed at `stop()`. */
  readonly dir?: string;
}

/** An own server. */
export interface RedisServer {
  readonly port: number;
  /** `redis://127.0.0.1:<port>`, without any password. */
  readonly url: string;
  /** Process id of the server that runs now; another after `restart()`. */
  readonly pid: number;
  /** Where its files are: `redis.conf`, `redis.log`, Unix sockets, dumps. */
  readonly dir: string;
  /** Ends it at once, whatever state it is in, and removes its files. Safe to call twice. */
  stop(): Promise<void>;
  /** Sends a signal; for one that ends the server it resolves when the server is gone. */
  kill(signal: Deno.Signal): Promise<void>;
  /** Starts it again on the same port with the same files; a running one is ended first (SIGTERM). */
  restart(): Promise<void>;
}

/**
 * Starts a server on 127.0.0.1 and resolves when it answers. Keeps nothing on disk unless `config` says so. When this
 * process dies, even by `kill -9`, the server goes with it.
 *
 * @throws Error with the end of the server's log if it does not start, or when there is no Redis program.
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

/** The program decides by its own name what it is, so `redis-check-rdb` is run through a link. */
async function asRedisServer(path: string, dir: string): Promise<string> {
  if (!path.endsWith("/redis-check-rdb")) return path;
  const link = `${dir}/redis-server`;
  await Deno.symlink(path, link).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
  return link;
}

function freePort(): number {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
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

  /** @returns the end of the log if it did not start. */
  async start(): Promise<string | undefined> {
    const { program, port, dir, config, sentinel, keepsDir } = this.#options;
    await Deno.writeTextFile(`${dir}/redis.conf`, formatConfig({ port, config }));
    await Deno.writeTextFile(this.#log, "");
    // Detached: Ctrl-C in a terminal ends the caller, who then stops the server when it is ready to. Through a shell,
    // which the server replaces, because what is wrong with a configuration is only said on stderr.
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

  /** The log is asked first: on a port that another server took, that one would answer. */
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

/** Later lines win, so a caller's `config` overrides all but the port. */
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

/** Whether a server that takes commands is there; one that asks for a password first is. */
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

interface Guard {
  dismiss(): Promise<void>;
}

/** A shell that waits for the end of its input, which comes when this process dies, and then kills the server. */
function startGuard({ pid, dir }: { pid: number; dir: string | undefined }): Guard {
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
