/** The demo as a newcomer runs it: to its end, and interrupted. */
import { doesNotMatch, equal, match, ok } from "node:assert/strict";
import { startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { ROOT } from "../../scripts/child.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { waitUntil } from "../../testkit/wait.ts";

/** A demo that runs in a process group and with a folder for temporary files of its own, so that what it leaves is seen. */
class RunningDemo implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #dir: string;
  readonly #reading: Promise<void>;
  output = "";
  #isOver = false;

  constructor(command: readonly string[], dir: string) {
    this.#dir = dir;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...command],
      cwd: ROOT,
      env: { TMPDIR: dir, NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
      detached: true,
    }).spawn();
    this.#reading = this.#read();
  }

  static async start(...command: string[]): Promise<RunningDemo> {
    return new RunningDemo(command, await Deno.makeTempDir({ prefix: "demo-test-" }));
  }

  async #read(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) this.output += text;
    this.#isOver = true;
  }

  /** Resolves with the exit code once every process that holds its output has ended. */
  async end(): Promise<number> {
    await this.#reading;
    watchOutput("output of the demo", this.output);
    return (await this.#child.status).code;
  }

  async waitForOutput(pattern: RegExp): Promise<void> {
    await waitUntil(() => this.#isOver || pattern.test(this.output), {
      what: `the demo prints ${pattern}`,
      timeoutMs: 30_000,
    });
    match(this.output, pattern);
  }

  /** As a terminal does on Ctrl-C: to the whole group. */
  interruptGroup(): void {
    Deno.kill(-this.#child.pid, "SIGINT");
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  async expectNothingLeft(): Promise<void> {
    await waitUntil(() => this.#processes().length === 0, { what: "no process of the demo is left" }).catch((error) => {
      throw new Error(`${error.message}: ${this.#processes().join("; ")}`);
    });
    equal([...Deno.readDirSync(this.#dir)].length, 0, "no temporary file is left");
  }

  /** Command lines of the processes that know of the folder: by environment, working folder or arguments. */
  #processes(): string[] {
    return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
      if (!/^\d+$/.test(name)) return [];
      const [environment, commandLine] = [readProc(`${name}/environ`), readProc(`${name}/cmdline`)];
      const knows = `${environment}${commandLine}${readLink(`${name}/cwd`)}`.includes(this.#dir);
      return knows ? [`${name} ${commandLine.replaceAll("\0", " ")}`] : [];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const line of this.#processes()) killQuietly(parseInt(line));
    await this.end();
    await Deno.remove(this.#dir, { recursive: true });
  }
}

function readProc(path: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${path}`);
  } catch {
    return ""; // It has ended, or belongs to somebody else.
  }
}

function readLink(path: string): string {
  try {
    return Deno.readLinkSync(`/proc/${path}`);
  } catch {
    return "";
  }
}

function killQuietly(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Processes are looked for in /proc. */
const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "demo: runs to its end, the account adds up, nothing is left",
  ignore,
  fn: async () => {
    await using demo = await RunningDemo.start("scripts/task.ts", "demo");
    equal(await demo.end(), 0, demo.output);
    match(demo.output, /300 dead letters[^]*The service runs/, "says what is to come before anything is started");
    doesNotMatch(demo.output, /s are over/);
    const [, put, ...numbers] =
      /^(\d{3,}) in: (\d+) replayed, (\d+) poison, (\d+) malformed, (\d+) unreadable = \1\. 0 lost, 0 doubled\.$/m
        .exec(demo.output) ?? [];
    equal(numbers.reduce((sum, number) => sum + Number(number), 0), Number(put), demo.output);
    // More than the planned ones where a slow machine needed them.
    ok(Number(put) >= 300, demo.output);
    match(demo.output, /downstream closed \(unhealthy\)/);
    const told = [...demo.output.matchAll(/-- told slack, email, teams, pagerduty, webhook: (.*)/g)].map(([, title]) =>
      title!
    );
    equal(told.length, 2, demo.output);
    match(told[0]!, /^Gate downstream closed in .*alerter.* since \d\d:\d\d UTC$/);
    match(told[1]!, /^Over: gate downstream closed in .*alerter.*, for \d+ s$/);
    match(demo.output, /deno(@[\d.]+)? task dev/);
    await demo.expectNothingLeft();
  },
});

Deno.test({
  name: "demo: another of three instances takes over from a killed leader, and the account adds up",
  ignore,
  fn: async () => {
    await using demo = await RunningDemo.start("scripts/task.ts", "demo", "--replicas", "3", "--kill-leader");
    equal(await demo.end(), 0, demo.output);
    match(demo.output, /-- demo-1 was killed/);
    match(demo.output, /-- demo-[23] leads, within \d+ s of the end of demo-1/);
    match(demo.output, /^(\d{3,}) in: .* = \1\. 0 lost, 0 doubled\.$/m);
    await demo.expectNothingLeft();
  },
});

Deno.test({
  name: "demo: Ctrl-C in the middle of the replay leaves nothing running",
  ignore,
  fn: async () => {
    await using demo = await RunningDemo.start("scripts/task.ts", "demo");
    await demo.waitForOutput(/ open\b/);
    // Once from the terminal, once through `deno task`.
    demo.interruptGroup();
    demo.interruptGroup();
    equal(await demo.end(), 130);
    match(demo.output, /nothing is left running/);
    await demo.expectNothingLeft();
  },
});

Deno.test({
  name: "demo: an interrupt while it starts leaves nothing running",
  ignore,
  fn: async () => {
    await using demo = await RunningDemo.start("demo/demo.ts");
    await demo.waitForOutput(/300 dead letters/);
    demo.interrupt();
    equal(await demo.end(), 130);
    await demo.expectNothingLeft();
  },
});

Deno.test({
  name: "demo: --stay opens a console in the middle of an outage, by a link that logs in once, and ends with Ctrl-C",
  ignore,
  fn: async () => {
    await using demo = await RunningDemo.start("scripts/task.ts", "demo", "--stay");
    await demo.waitForOutput(/Moogsoft answers 503/);
    const link = new URL(/http:\S+\/login\?once=\S+/.exec(demo.output)![0]), once = link.searchParams.get("once")!;
    const logIn = async () => {
      const body = new URLSearchParams({ once });
      const response = await fetch(new URL("/login", link), { method: "POST", redirect: "manual", body });
      await response.body?.cancel();
      return response;
    };
    const opened = await logIn();
    equal(opened.status, 303);
    const cookie = opened.headers.get("set-cookie")!.split(";")[0]!;
    equal((await logIn()).status, 401, "the link works once");
    const overview = await (await fetch(new URL("/", link), { headers: { cookie } })).text();
    match(overview, /class="chip role">admin · demo</);
    match(overview, /alerter held/, "the chart shows the hour before");
    const key = /^ +(mrk_\S+)$/m.exec(demo.output)![1]!;
    await waitUntil(async () => {
      const response = await fetch(new URL("/api/v1/explain", link), { headers: { "x-api-key": key } });
      return /Waiting for Moogsoft/.test(await response.text());
    }, { what: "the source waits for Moogsoft", timeoutMs: 60_000 });
    demo.interruptGroup();
    demo.interruptGroup();
    equal(await demo.end(), 130);
    match(demo.output, /nothing is left running/);
    await demo.expectNothingLeft();
  },
});

Deno.test({
  name: "demo: explains its flags, and refuses wrong ones",
  ignore,
  fn: async () => {
    await using help = await RunningDemo.start("demo/demo.ts", "--help");
    equal(await help.end(), 0);
    match(help.output, /--messages N/);
    await using wrong = await RunningDemo.start("demo/demo.ts", "--messages", "7");
    equal(await wrong.end(), 2);
  },
});

Deno.test("mock-moog: takes events on any path, fails as told, counts both", async () => {
  const moog = startMockMoog();
  const base = new URL("/", moog.url).href;
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(base + path, init);
    return [response.status, await response.json()];
  };
  try {
    equal(JSON.stringify(await ask("any/path", { method: "POST", body: "{}" })), '[200,{"status":"accepted"}]');
    equal(JSON.stringify(await ask("status", { method: "PUT", body: "503" })), '[200,{"status":503}]');
    equal((await ask("any/path", { method: "POST", body: "{}" }))[0], 503);
    equal((await ask("status", { method: "PUT", body: "lots" }))[0], 400);
    equal(JSON.stringify(await ask("stats")), '[200,{"count":1,"refused":1,"last":"{}"}]');
    equal(JSON.stringify(await ask("health")), '[200,{"status":"healthy","service":"mock-moog"}]');
    equal((await ask("other"))[0], 404);
    moog.answerWith(200);
    equal((await ask("any/path", { method: "POST", body: "{}" }))[0], 200);
  } finally {
    await moog.stop();
  }
});
