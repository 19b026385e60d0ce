/** A running service with its local key, and its command line as an operator uses it: with pipes, or on a terminal. */
import { Buffer } from "node:buffer";
import { onPath } from "../scripts/child.ts";
import { type MockMoog, startMockMoog } from "./mutt/mock_moog.ts";
import { startRedis, type TestRedis } from "./redis.ts";
import { watchOutput } from "./secrets_net.ts";
import { howToRun, type Service, startService } from "./service.ts";
import { waitUntil } from "./wait.ts";

/** The only folder besides those of Redis that the program may write to. */
const FOLDER = "/run/mutt-remediation";

/** Why tests with a local key cannot run here; `null`: they can. */
export function whyNoLocalKey(): string | null {
  try {
    Deno.mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
    return null;
  } catch {
    return `${FOLDER} cannot be made`;
  }
}

/** Why tests on a terminal cannot run here; `null`: they can. */
export function whyNoTerminal(): string | null {
  return onPath("script") === undefined ? "no script on PATH" : null;
}

/** What a command printed, and its exit code. */
export interface Printed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A step on a terminal: when the output matches, type this. `again` is typed every other second until it matches. */
export type Step = readonly [expected: RegExp, typed: string, again?: string];

/** Colours, movements and bells, which a step need not expect. */
// deno-lint-ignore no-control-regex
const UNSEEN = /\x1b\[[\d;?]*[A-Za-z]|\x07/g;

/** Time between two times of typing the same, in milliseconds. */
const AGAIN_MS = 2_000;

function commandOf(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): { program: string; args: string[]; env: Record<string, string> } {
  const { program, prefix, needs } = howToRun();
  return { program, args: [...prefix, ...args], env: { ...needs, PATH: Deno.env.get("PATH") ?? "", ...env } };
}

/** Runs a command with pipes. `env` is all of its environment that it can see. */
export async function runCommand(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Printed> {
  const { program, ...command } = commandOf(args, env);
  const { code, stdout, stderr } = await new Deno.Command(program, {
    ...{ ...command, clearEnv: true, stdin: "null", cwd: "/tmp" },
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  // Raw bytes show their secrets: that is what was asked for.
  watchOutput(`output of ${args.join(" ")}`, args.includes("--raw") ? err : out + err);
  return { code, out, err };
}

function startCommand(args: readonly string[], env: Readonly<Record<string, string>>): Deno.ChildProcess {
  const { program, ...command } = commandOf(args, env);
  return new Deno.Command(program, {
    ...{ ...command, clearEnv: true, cwd: "/tmp" },
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
}

/** Runs a program on a terminal, and types at each step. `out` is all that the terminal showed. */
export async function runOnTerminal(
  command: readonly string[],
  steps: readonly Step[],
  { columns = 120, env }: { columns?: number; env: Readonly<Record<string, string>> },
): Promise<Printed> {
  const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = new Deno.Command("script", {
    args: ["-qec", `stty cols ${columns} rows 30; ${words}`, "/dev/null"],
    ...{ env: { ...env, TERM: "xterm", SHELL: "/bin/sh" }, clearEnv: true, cwd: "/tmp" },
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  let out = "";
  const reading = (async () => {
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) out += part;
  })();
  const errors = new Response(child.stderr).text(), typing = child.stdin.getWriter();
  try {
    let from = 0;
    for (const [expected, typed, again] of steps) {
      let typedAtMs = performance.now();
      const isShown = async () => {
        if (expected.test(out.slice(from).replaceAll(UNSEEN, ""))) return true;
        if (again !== undefined && performance.now() - typedAtMs > AGAIN_MS) {
          await typing.write(Buffer.from(again));
          typedAtMs = performance.now();
        }
        return false;
      };
      await waitUntil(isShown, { what: `the terminal shows ${expected}` })
        .catch((error: Error) => {
          throw new Error(`${error.message}; it shows ${JSON.stringify(out)}`);
        });
      from = out.length;
      await typing.write(Buffer.from(typed));
    }
    const { code } = await child.status;
    await reading;
    watchOutput(`terminal of ${command.join(" ")}`, out);
    return { code, out, err: await errors };
  } finally {
    await typing.close().catch(() => {});
  }
}

/** The service, and commands that reach it without a flag. */
export class CliScene implements AsyncDisposable {
  readonly redis: TestRedis;
  readonly moog: MockMoog;
  readonly service: Service;
  readonly keyFile: string;
  readonly #parts: AsyncDisposableStack;

  private constructor(given: Pick<CliScene, "redis" | "moog" | "service" | "keyFile">, parts: AsyncDisposableStack) {
    ({ redis: this.redis, moog: this.moog, service: this.service, keyFile: this.keyFile } = given);
    this.#parts = parts;
  }

  /** Starts it and waits until the local key is there. `env`: further settings of the service. */
  static async open(env: Readonly<Record<string, string>> = {}): Promise<CliScene> {
    await using parts = new AsyncDisposableStack();
    const redis = await startRedis();
    parts.defer(() => redis.stop());
    const moog = startMockMoog();
    parts.defer(() => moog.stop());
    const keyFile = `${FOLDER}/${crypto.randomUUID()}.json`;
    const service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_API_PORT: "0" },
        ...{ MOOG_WEBHOOK_URL: moog.url, MOOG_HEALTH_CACHE_SECONDS: "1", REMEDIATION_LOCAL_KEY_FILE: keyFile },
        ...env,
      },
    });
    parts.defer(() => service[Symbol.asyncDispose]());
    parts.defer(() => Deno.remove(keyFile).catch(() => {}));
    await service.ports();
    return new CliScene({ redis, moog, service, keyFile }, parts.move());
  }

  /** The environment with which a command finds the service. */
  get #env(): Record<string, string> {
    return { REMEDIATION_LOCAL_KEY_FILE: this.keyFile };
  }

  /** Runs a command with pipes. `env` is added to its environment. */
  run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Printed> {
    return runCommand(args, { ...this.#env, ...env });
  }

  /** Starts a command with pipes; the caller ends it. */
  start(args: readonly string[]): Deno.ChildProcess {
    return startCommand(args, this.#env);
  }

  /** Runs a command on a terminal, and types at each step. `out` is all that the terminal showed. */
  async runOnTerminal(
    args: readonly string[],
    steps: readonly Step[],
    { columns = 120 }: { columns?: number } = {},
  ): Promise<Printed> {
    const { program, ...command } = commandOf(args, this.#env);
    return await runOnTerminal([program, ...command.args], steps, { columns, env: command.env });
  }

  /** The environment of commands that a shell starts, where `mutt-remediation` in this folder is the program. */
  shellEnv(folder: string): Record<string, string> {
    const { program, args, env } = commandOf([], this.#env);
    const words = [program, ...args].map((word) => `'${word}'`).join(" ");
    Deno.writeTextFileSync(`${folder}/mutt-remediation`, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
    return { ...env, PATH: `${folder}:${Deno.env.get("PATH")}`, HOME: folder };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}
