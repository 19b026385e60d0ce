/** Runs the commands of a page as a reader types them, in a folder: those that end, and those that stay. */
import { type Guard, startGuard } from "../scripts/redis_server.ts";
import { PATIENT_MS } from "./wait.ts";

/** A program that stays. Disposing stops it; if this process dies, it is killed. */
export interface PageProgram extends AsyncDisposable {
  /** As it stands on the page. */
  readonly command: string;
  /** Complete lines of its standard output so far. */
  readonly lines: readonly string[];
  /** All that it has written so far. */
  readonly output: string;
}

/** Runs a script to its end. @throws Error with its output if it fails */
export async function runOnPage(script: string, folder: string): Promise<void> {
  const { code, stdout, stderr } = await shell(script, folder).output();
  if (code === 0) return;
  throw new Error(
    [`${script}: exit ${code}`, ...[stdout, stderr].map((it) => new TextDecoder().decode(it))].join("\n"),
  );
}

/** Starts a command that stays. */
export function startOnPage(command: string, folder: string): PageProgram {
  return new Started(command, shell(`exec ${command}`, folder).spawn()); // signals reach what takes the shell's place
}

function shell(script: string, cwd: string): Deno.Command {
  return new Deno.Command("/bin/sh", { args: ["-ec", script], cwd, stdin: "null", stdout: "piped", stderr: "piped" });
}

class Started implements PageProgram {
  readonly command: string;
  output = "";
  readonly #child: Deno.ChildProcess;
  readonly #guard: Guard;
  readonly #reading: Promise<unknown>;
  #out = "";

  constructor(command: string, child: Deno.ChildProcess) {
    this.command = command;
    this.#child = child;
    this.#guard = startGuard({ pid: child.pid });
    this.#reading = Promise.all([this.#read(child.stdout, true), this.#read(child.stderr, false)]);
  }

  get lines(): readonly string[] {
    return this.#out.split("\n").slice(0, -1);
  }

  /** Asks it to end, and kills it if it does not. */
  async [Symbol.asyncDispose](): Promise<void> {
    const kill = (signal: Deno.Signal) => {
      try {
        this.#child.kill(signal);
      } catch {
        // It has ended.
      }
    };
    kill("SIGTERM");
    const late = setTimeout(kill, PATIENT_MS, "SIGKILL");
    await this.#reading; // until its children, too, have closed its output
    clearTimeout(late);
    await this.#guard.dismiss();
  }

  async #read(stream: ReadableStream<Uint8Array>, isOut: boolean): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.output += text;
      if (isOut) this.#out += text;
    }
  }
}
