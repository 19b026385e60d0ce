/**
 * A redrive in a process of its own. It writes `ready` when it is connected, waits for a line, moves everything, and
 * writes `{"seconds": ..., "cpu_seconds": ...}`.
 */
import type { Spent } from "../drainers/drainer.ts";

/** How to start it. */
export interface MoverCommand {
  readonly command: readonly [string, ...string[]];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A redrive that is ready to begin. Killed when it is disposed. */
export interface PreparedDrain extends AsyncDisposable {
  run(): Promise<Spent>;
}

/** A redrive that has begun and can be killed. Killed when it is disposed. */
export interface Redrive extends AsyncDisposable {
  /** `kill -9`. Does nothing if it has ended. */
  kill(): void;
  /** How it ended. @throws Error if it failed by itself. */
  readonly ended: Promise<"done" | "killed">;
}

/** Starts the process and waits until it is ready. */
export async function prepareMover({ command: [program, ...args], env = {} }: MoverCommand): Promise<PreparedDrain> {
  const child = new Deno.Command(program, { args, env, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const lines = readLines(child.stdout);
  const next = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`"${program}" ended without an answer`);
    return value;
  };
  const dispose = async () => {
    kill(child);
    await child.stdin.close().catch(() => {});
    await lines.return(undefined);
    await child.status;
  };
  try {
    await next();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    async run() {
      await begin(child);
      const { seconds, cpu_seconds } = JSON.parse(await next()) as { seconds: number; cpu_seconds: number };
      return { seconds, clientCpuUs: cpu_seconds * 1e6 };
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Starts the process, which begins to move as soon as it is ready. Programs that do not wait for a line will do too. */
export function startRedrive({ command: [program, ...args], env = {} }: MoverCommand): Redrive {
  const child = new Deno.Command(program, { args, env, stdin: "piped", stdout: "null", stderr: "inherit" }).spawn();
  void begin(child).catch(() => {}); // killed, or it does not read
  const ended = child.status.then(({ success, code, signal }): "done" | "killed" => {
    if (signal === "SIGKILL") return "killed";
    if (success) return "done";
    throw new Error(`"${program}" ended with exit code ${code}`);
  });
  ended.catch(() => {}); // handled by the caller, who awaits it
  return {
    kill: () => kill(child),
    ended,
    async [Symbol.asyncDispose]() {
      kill(child);
      await child.status;
    },
  };
}

async function begin(child: Deno.ChildProcess): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("\n"));
  await writer.close();
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Lines of a stream, without their ends. */
export async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
