/**
 * A RabbitMQ node of the benchmarks' own, on loopback and free ports, with its own data and its own port mapper. It is
 * killed when it is disposed, and also when this process dies.
 */
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";

const HOST = "127.0.0.1";
const START_TIMEOUT_MS = 60_000, POLL_MS = 50;
const PLUGINS = "[rabbitmq_management,rabbitmq_shovel,rabbitmq_shovel_management].";
const AUTHORIZATION = `Basic ${btoa("guest:guest")}`;

/** Where RabbitMQ is. */
export interface RabbitProgram {
  /** The folder of its scripts, `.../rabbitmq_server-<version>/sbin`. */
  readonly scripts: string;
  /** The folder of `erl` and `epmd`. */
  readonly erlang: string;
  readonly version: string;
}

interface Ports {
  readonly amqp: number;
  readonly management: number;
  readonly mapper: number;
  readonly distribution: number;
}

/** The node. */
export class RabbitNode implements AsyncDisposable {
  readonly #program: RabbitProgram;
  readonly #dir: string;
  readonly #ports: Ports;
  readonly #mapper: Deno.ChildProcess;
  #broker: Deno.ChildProcess | null = null;
  #guard: Guard | null = null;

  private constructor(program: RabbitProgram, { dir, ports }: { dir: string; ports: Ports }) {
    this.#program = program;
    this.#dir = dir;
    this.#ports = ports;
    this.#mapper = spawnQuiet(`${program.erlang}/epmd`, {
      args: ["-port", String(ports.mapper), "-address", HOST],
    });
  }

  /** Starts it and waits until it answers, some ten seconds. @throws Error with the end of its output if it does not */
  static async start(program: RabbitProgram): Promise<RabbitNode> {
    const dir = await Deno.makeTempDir({ prefix: "rabbit-" });
    const [amqp, management, mapper, distribution] = findFreePorts(4) as [number, number, number, number];
    await writeConfiguration(dir, { amqp, management });
    const node = new RabbitNode(program, { dir, ports: { amqp, management, mapper, distribution } });
    try {
      await node.boot();
      return node;
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  get amqpPort(): number {
    return this.#ports.amqp;
  }

  /** Process id of the broker; `null` after {@link kill}. */
  get pid(): number | null {
    return this.#broker?.pid ?? null;
  }

  /** Starts the broker with the data that are there. */
  async boot(): Promise<void> {
    const broker = spawnQuiet("sh", {
      args: ["-c", 'exec "$0" >>"$1" 2>&1', `${this.#program.scripts}/rabbitmq-server`, this.#outputFile],
      env: this.#env(),
    });
    this.#broker = broker;
    this.#guard = startGuard({ pids: [broker.pid, this.#mapper.pid], dir: this.#dir });
    let hasEnded = false;
    broker.status.then(() => hasEnded = true);
    const giveUpAtMs = performance.now() + START_TIMEOUT_MS;
    while (!await this.#isListening()) {
      if (hasEnded || performance.now() > giveUpAtMs) {
        const output = await Deno.readTextFile(this.#outputFile).catch(() => "");
        throw new Error(`RabbitMQ did not start: ${output.trim().split("\n").slice(-5).join("\n")}`);
      }
      await SYSTEM_CLOCK.sleep(POLL_MS);
    }
  }

  /** `kill -9` of the broker; its data stay. Resolves when it is gone. */
  async kill(): Promise<void> {
    const [broker, guard] = [this.#broker, this.#guard];
    this.#broker = this.#guard = null;
    if (broker !== null) await end(broker);
    await guard?.dismiss();
  }

  /** Calls the management API. @returns the status and the body as JSON, `null` if it is empty */
  async manage(
    method: "GET" | "PUT" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`http://${HOST}:${this.#ports.management}/api/${path}`, {
      method,
      headers: { authorization: AUTHORIZATION, "content-type": "application/json" },
      ...body !== undefined && { body: JSON.stringify(body) },
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await end(this.#mapper);
    await Deno.remove(this.#dir, { recursive: true });
  }

  get #outputFile(): string {
    return `${this.#dir}/output`;
  }

  async #isListening(): Promise<boolean> {
    const path = `health/checks/port-listener/${this.#ports.amqp}`;
    return await this.manage("GET", path).then(({ status }) => status === 200, () => false);
  }

  #env(): Record<string, string> {
    const { mapper, distribution } = this.#ports;
    return {
      PATH: `${this.#program.erlang}:${Deno.env.get("PATH") ?? ""}`,
      HOME: this.#dir, // for its cookie
      ERL_EPMD_PORT: String(mapper),
      RABBITMQ_NODENAME: "bench@localhost",
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_BASE: this.#dir,
      RABBITMQ_MNESIA_BASE: `${this.#dir}/data`,
      RABBITMQ_LOG_BASE: `${this.#dir}/log`,
      RABBITMQ_CONFIG_FILE: `${this.#dir}/rabbitmq.conf`,
      RABBITMQ_CONF_ENV_FILE: "/dev/null",
      RABBITMQ_ENABLED_PLUGINS_FILE: `${this.#dir}/enabled_plugins`,
      // The script then replaces itself with the broker, so that the process to kill is the broker.
      RABBITMQ_ALLOW_INPUT: "1",
      RABBITMQ_SERVER_START_ARGS: "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
    };
  }
}

async function writeConfiguration(
  dir: string,
  { amqp, management }: Pick<Ports, "amqp" | "management">,
): Promise<void> {
  await Deno.writeTextFile(`${dir}/enabled_plugins`, PLUGINS);
  await Deno.writeTextFile(
    `${dir}/rabbitmq.conf`,
    [
      `listeners.tcp.1 = ${HOST}:${amqp}`,
      `management.tcp.ip = ${HOST}`,
      `management.tcp.port = ${management}`,
      "management_agent.disable_metrics_collector = true", // it would cost processor time
      "",
    ].join("\n"),
  );
}

/** Different ones: all are open at the same time. */
function findFreePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: HOST, port: 0 }));
  const ports = listeners.map(({ addr }) => addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}

/** Detached: on Ctrl-C the benchmark ends it, in its own order. */
function spawnQuiet(program: string, options: Pick<Deno.CommandOptions, "args" | "env">): Deno.ChildProcess {
  const quiet = { stdin: "null", stdout: "null", stderr: "null", detached: true } as const;
  return new Deno.Command(program, { ...options, ...quiet }).spawn();
}

async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
  await child.status;
}

interface Guard {
  dismiss(): Promise<void>;
}

/** A shell whose input ends when this process dies; it then kills the processes and removes their folder. */
function startGuard({ pids, dir }: { pids: readonly number[]; dir: string }): Guard {
  const shell = new Deno.Command("sh", {
    args: ["-c", 'read -r _; dir="$1"; shift; kill -9 "$@"; sleep 1; rm -rf "$dir"', "guard", dir, ...pids.map(String)],
    ...{ stdin: "piped", stdout: "null", stderr: "null", detached: true },
  }).spawn();
  return {
    async dismiss() {
      await end(shell);
      await shell.stdin.close().catch(() => {});
    },
  };
}
