/** RabbitMQ's shovel: a one-shot move between two queues of one broker, as its management page makes it. */
import { fileURLToPath } from "node:url";
import { onPath } from "../../scripts/child.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import type { Bench } from "../harness/family.ts";
import { makeMessage } from "../harness/messages.ts";
import { readLines, type Redrive } from "../harness/mover.ts";
import { installFromNpm, isFolder, PEER_CACHE, unpackFromDebian } from "../harness/peer_packages.ts";
import { readCpuUs } from "../harness/process_cpu.ts";
import { RabbitNode, type RabbitProgram } from "../harness/rabbit_node.ts";
import type { FoundPeer, Peer } from "./peer.ts";

const CLIENT = fileURLToPath(new URL("rabbitmq.mjs", import.meta.url));
const AMQPLIB_VERSION = "2.3.1";
const AMQPLIB_FOLDER = `${PEER_CACHE}/amqplib-${AMQPLIB_VERSION}`;
const RABBIT_FOLDER = `${PEER_CACHE}/rabbitmq-server`;
const SHOVEL_PATH = "parameters/shovel/%2F/redrive";
/** As the button "Move messages" sets it: acknowledged when the target has confirmed, and gone when all is moved. */
const SHOVEL = {
  ...{ "src-protocol": "amqp091", "src-uri": "amqp:///%2F", "src-queue": "dead", "src-delete-after": "queue-length" },
  ...{ "dest-protocol": "amqp091", "dest-uri": "amqp:///%2F", "dest-queue": "target" },
  ...{ "src-prefetch-count": 1_000, "ack-mode": "on-confirm" },
};
const POLL_MS = 20;

/** What it starts with. */
export interface ShovelOptions {
  readonly bytes: number;
  readonly install: boolean;
  readonly bench: Bench;
  /** Ends the broker. */
  readonly stack: AsyncDisposableStack;
}

/** Finds RabbitMQ in the system or the cache, or unpacks it there if it may, and starts it. */
export async function findShovel({ bytes, install, bench, stack }: ShovelOptions): Promise<FoundPeer> {
  if (onPath("node") === undefined) return { leftOut: "RabbitMQ is left out: no node here for its client." };
  if (install) await installAll();
  const program = findProgram();
  if (program === null || !isFolder(AMQPLIB_FOLDER)) {
    return { leftOut: "RabbitMQ is left out: not installed here (Debian: rabbitmq-server; npm: amqplib)." };
  }
  try {
    return { peer: stack.use(await Shovel.start(program, { bytes, signal: bench.signal })) };
  } catch {
    return { leftOut: `RabbitMQ ${program.version} is left out: it did not start.` };
  }
}

async function installAll(): Promise<void> {
  if (findProgram() === null) await unpackFromDebian("rabbitmq-server", RABBIT_FOLDER).then(relocateErlang, () => {});
  if (!isFolder(AMQPLIB_FOLDER)) await installFromNpm([`amqplib@${AMQPLIB_VERSION}`], AMQPLIB_FOLDER).catch(() => {});
}

/** Debian's `erl` knows only the folder that it is installed in. */
async function relocateErlang(): Promise<void> {
  const path = `${RABBIT_FOLDER}/usr/lib/erlang/bin/erl`, text = await Deno.readTextFile(path);
  await Deno.writeTextFile(
    path,
    text.replaceAll("ROOTDIR=/usr/lib/erlang", `ROOTDIR="${RABBIT_FOLDER}/usr/lib/erlang"`),
  );
}

function findProgram(): RabbitProgram | null {
  for (const root of ["", RABBIT_FOLDER]) {
    const lib = `${root}/usr/lib/rabbitmq/lib`, erlang = `${root}/usr/lib/erlang/bin`;
    const names = isFolder(lib) ? [...Deno.readDirSync(lib)].map(({ name }) => name) : [];
    const version = names.map((name) => /^rabbitmq_server-(.+)$/.exec(name)?.[1]).find((found) => found !== undefined);
    if (version !== undefined && isFolder(erlang)) {
      return { scripts: `${lib}/rabbitmq_server-${version}/sbin`, erlang, version };
    }
  }
  return null;
}

class Shovel implements Peer, AsyncDisposable {
  readonly name: string;
  readonly isSlow = false;
  readonly isInRedis = false;
  readonly #node: RabbitNode;
  readonly #bytes: number;
  readonly #signal: AbortSignal;
  #client: QueueClient;

  private constructor(
    node: RabbitNode,
    { version, client, bytes, signal }: { version: string; client: QueueClient; bytes: number; signal: AbortSignal },
  ) {
    this.name = `RabbitMQ ${version} shovel`;
    this.#node = node;
    this.#client = client;
    this.#bytes = bytes;
    this.#signal = signal;
  }

  static async start(
    program: RabbitProgram,
    options: { bytes: number; signal: AbortSignal },
  ): Promise<Shovel> {
    const node = await RabbitNode.start(program);
    try {
      const client = await QueueClient.connect(node.amqpPort);
      return new Shovel(node, { version: program.version, client, ...options });
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  async load(count: number): Promise<void> {
    const file = await Deno.makeTempFile({ prefix: "bench-" });
    try {
      const lines = Array.from({ length: count }, (_, index) => `${makeMessage(index, this.#bytes)}\n`);
      await Deno.writeTextFile(file, lines.join(""));
      await this.#client.ask({ op: "load", file });
    } finally {
      await Deno.remove(file);
    }
  }

  prepare(count: number) {
    const move = async () => {
      const startedAtMs = performance.now();
      await this.#shovel();
      await this.#client.ask({ op: "waitUntilMoved", count });
      const seconds = (performance.now() - startedAtMs) / 1_000;
      await this.#untilGone();
      return { seconds, clientCpuUs: null };
    };
    return Promise.resolve({ run: move, [Symbol.asyncDispose]: () => Promise.resolve() });
  }

  async expectArrived(count: number): Promise<void> {
    const found = await this.#client.ask({ op: "depths" });
    if (String(found) !== String([0, count])) throw new Error(`RabbitMQ's queues dead and target hold ${found}`);
  }

  async depth(): Promise<number> {
    return (await this.#client.ask({ op: "depths" }) as [number, number])[0];
  }

  async serverCpuUs(): Promise<number | null> {
    return this.#node.pid === null ? null : await readCpuUs(this.#node.pid);
  }

  /** The broker is what is killed. It keeps the shovel, which goes on by itself when the broker is back. */
  async start(): Promise<Redrive> {
    if (this.#node.pid === null) {
      await this.#node.boot();
      await this.#client[Symbol.asyncDispose]();
      this.#client = await QueueClient.connect(this.#node.amqpPort);
    }
    if (!await this.#isShoveling() && await this.depth() > 0) await this.#shovel();
    let killing: Promise<void> | null = null;
    const ended = this.#untilGone(() => killing !== null).then(async (): Promise<"done" | "killed"> => {
      await killing;
      return killing === null ? "done" : "killed";
    });
    ended.catch(() => {}); // handled by the caller, who awaits it
    return {
      kill: () => void (killing ??= this.#node.kill()),
      ended,
      [Symbol.asyncDispose]: async () => void await ended.catch(() => {}),
    };
  }

  async readTexts(): Promise<string[]> {
    return await this.#client.ask({ op: "takeTexts" }) as string[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
  }

  async #shovel(): Promise<void> {
    const { status } = await this.#node.manage("PUT", SHOVEL_PATH, { value: SHOVEL });
    if (status >= 300) throw new Error(`RabbitMQ refused the shovel with status ${status}`);
  }

  async #isShoveling(): Promise<boolean> {
    return (await this.#node.manage("GET", SHOVEL_PATH)).status === 200;
  }

  /** Waits until the shovel has moved all and removed itself, or was killed. */
  async #untilGone(isKilled: () => boolean = () => false): Promise<void> {
    for (;;) {
      const isShoveling = await this.#isShoveling().catch((error) => {
        if (isKilled()) return false;
        throw error;
      });
      if (!isShoveling || isKilled()) return;
      await SYSTEM_CLOCK.sleep(POLL_MS, this.#signal);
      this.#signal.throwIfAborted();
    }
  }
}

/** A client of the queues in a process of its own (`rabbitmq.mjs`): AMQP has no client here without a package. */
class QueueClient implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncGenerator<string, void>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  /** Answers come in the order of the commands. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(port: number) {
    this.#child = new Deno.Command("node", {
      args: [CLIENT, AMQPLIB_FOLDER, String(port)],
      ...{ stdin: "piped", stdout: "piped", stderr: "inherit" },
    }).spawn();
    this.#lines = readLines(this.#child.stdout);
    this.#input = this.#child.stdin.getWriter();
  }

  static async connect(port: number): Promise<QueueClient> {
    const client = new QueueClient(port);
    try {
      await client.#answer();
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  ask(command: { readonly op: string; readonly [key: string]: unknown }): Promise<unknown> {
    const asked = this.#last.then(async () => {
      await this.#input.write(new TextEncoder().encode(`${JSON.stringify(command)}\n`));
      return await this.#answer();
    });
    this.#last = asked.catch(() => {});
    return asked;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It ended with its connection.
    }
    await this.#input.close().catch(() => {});
    await this.#child.status;
    await this.#last;
    await this.#lines.return(undefined);
  }

  async #answer(): Promise<unknown> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("the client of RabbitMQ ended");
    return JSON.parse(value);
  }
}
