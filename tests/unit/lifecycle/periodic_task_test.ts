import assert from "node:assert/strict";
import {
  growingPauseMs,
  PeriodicTask,
  type PeriodicTaskOptions,
  type RunResult,
} from "../../../src/lifecycle/periodic_task.ts";
import { TestClock, turn } from "../../../testkit/test_clock.ts";

const INTERVAL_MS = 1_000;

/** Counts its runs; a run that is held ends when the test says so. */
class CountingTask extends PeriodicTask {
  readonly startedAtMs: number[] = [];
  active = 0;
  mostActive = 0;
  result: RunResult | Error = "done";
  isHeld = false;
  #release: () => void = () => {};
  readonly #clock: TestClock;

  constructor(clock: TestClock, options: Partial<PeriodicTaskOptions> = {}) {
    super({ clock, ...options });
    this.#clock = clock;
  }

  /** Ends the run that is held. */
  async release(): Promise<void> {
    this.#release();
    await turn();
  }

  protected async run(): Promise<RunResult> {
    this.startedAtMs.push(this.#clock.monotonicMs());
    this.mostActive = Math.max(this.mostActive, ++this.active);
    if (this.isHeld) await new Promise<void>((resolve) => this.#release = resolve);
    else await Promise.resolve();
    this.active--;
    if (this.result instanceof Error) throw this.result;
    return this.result;
  }

  protected intervalMs(): number {
    return this.failures === 0
      ? INTERVAL_MS
      : growingPauseMs(this.failures, { firstMs: 2 * INTERVAL_MS, maxMs: 5 * INTERVAL_MS });
  }
}

function setup(options: Partial<PeriodicTaskOptions> = {}) {
  const clock = new TestClock(), task = new CountingTask(clock, options);
  const advance = async (ms: number, stepMs = 100) => {
    await turn();
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      await clock.advance(stepMs);
      await turn();
    }
  };
  return { clock, task, advance };
}

Deno.test("PeriodicTask: runs at once and then each interval, from start to stop", async () => {
  const { task, advance } = setup();
  await advance(500);
  assert.deepEqual(task.startedAtMs, [], "not before it is started");
  task.start();
  task.start();
  await advance(2_500);
  await task.stop();
  await advance(5_000);
  assert.deepEqual(task.startedAtMs, [500, 1_500, 2_500]);
});

Deno.test("PeriodicTask: begins with a pause when the first run is due after an interval", async () => {
  const { task, advance } = setup({ firstRun: "after_interval" });
  task.start();
  await advance(2_000);
  await task.stop();
  assert.deepEqual(task.startedAtMs, [1_000, 2_000]);
});

Deno.test("PeriodicTask.wake: ends the pause, and makes another run follow the one in hand", async () => {
  const { task, advance } = setup();
  task.start();
  await advance(300);
  task.wake();
  await turn();
  assert.deepEqual(task.startedAtMs, [0, 300]);
  await advance(500);
  task.isHeld = true;
  task.wake();
  await turn();
  task.wake();
  task.wake();
  task.isHeld = false;
  await task.release();
  await turn();
  assert.deepEqual(task.startedAtMs, [0, 300, 800, 800], "one more, not two");
  await advance(900);
  assert.equal(task.startedAtMs.length, 4);
  await task.stop();
});

Deno.test("PeriodicTask.wake: counts when it comes before start, in place of the first interval", async () => {
  const { task } = setup({ firstRun: "after_interval" });
  task.wake();
  task.start();
  await turn();
  assert.deepEqual(task.startedAtMs, [0]);
  await task.stop();
});

Deno.test("PeriodicTask.wake: keeps the shortest pause, after a run outside the rhythm too", async () => {
  const { task, advance } = setup({ minPauseMs: 400, firstRun: "after_interval" });
  await task.runOnce();
  task.start();
  for (let i = 0; i < 10; i++) {
    task.wake();
    await advance(100);
  }
  await task.stop();
  assert.deepEqual(task.startedAtMs, [0, 400, 800]);
});

Deno.test("PeriodicTask.wake: is not lost when it comes during a run that somebody else asked for", async () => {
  const { task, advance } = setup();
  task.start();
  await advance(200);
  task.isHeld = true;
  const asked = task.runOnce();
  await turn();
  task.wake();
  await turn();
  task.isHeld = false;
  await task.release();
  await asked;
  await turn();
  assert.deepEqual(task.startedAtMs, [0, 200, 200]);
  await task.stop();
});

Deno.test("PeriodicTask.runOnce: joins the run in hand, and runs whether started or not", async () => {
  const { task } = setup();
  task.isHeld = true;
  const both = [task.runOnce(), task.runOnce()];
  await task.release();
  await Promise.all(both);
  assert.deepEqual([task.startedAtMs.length, task.mostActive], [1, 1]);
  task.isHeld = false;
  await task.runOnce();
  assert.equal(task.startedAtMs.length, 2);
});

Deno.test("PeriodicTask: its pause grows with each failure, up to a bound, and a success ends that", async () => {
  const { task, advance } = setup();
  task.result = "failed";
  task.start();
  await advance(16_000);
  assert.deepEqual(task.startedAtMs, [0, 2_000, 6_000, 11_000, 16_000]);
  task.result = "skipped";
  await advance(10_000);
  assert.deepEqual(task.startedAtMs.slice(5), [21_000, 26_000], "what was skipped changes nothing");
  task.result = "done";
  await advance(7_000);
  assert.deepEqual(task.startedAtMs.slice(7), [31_000, 32_000, 33_000]);
  await task.stop();
});

Deno.test("growingPauseMs: doubles up to its bound, however many failures there were", () => {
  const pauses = [1, 2, 3, 4, 1e6].map((failures) => growingPauseMs(failures, { firstMs: 500, maxMs: 3_000 }));
  assert.deepEqual(pauses, [500, 1_000, 2_000, 3_000, 3_000]);
});

Deno.test("PeriodicTask.stop: waits for the run in hand, whoever asked for it, and begins none", async () => {
  for (const isStarted of [true, false]) {
    const { task, advance } = setup();
    task.isHeld = true;
    const asked = isStarted ? task.start() : task.runOnce();
    await turn();
    let isStopped = false;
    const stopping = task.stop().then(() => isStopped = true);
    task.wake();
    await advance(5_000);
    assert.equal(isStopped, false);
    await task.release();
    await Promise.all([stopping, asked]);
    await task.runOnce();
    task.start();
    await advance(5_000);
    assert.deepEqual([task.startedAtMs.length, task.active], [1, 0]);
  }
});

Deno.test("PeriodicTask: hands what a run throws to onBug, and ends", async () => {
  const bugs: unknown[] = [];
  const { task, advance } = setup({ onBug: (error) => bugs.push(error) });
  task.result = new Error("planted");
  task.start();
  await advance(5_000);
  assert.deepEqual([bugs, task.startedAtMs], [[task.result], [0]]);
  await task.stop();
});

Deno.test("PeriodicTask: rejects with what a run throws when somebody asked for it, and can run again", async () => {
  const { task } = setup();
  task.result = new Error("planted");
  await assert.rejects(task.runOnce(), { message: "planted" });
  task.result = "done";
  await task.runOnce();
  assert.equal(task.startedAtMs.length, 2);
  await task.stop();
});

Deno.test("PeriodicTask: never runs twice at once, and not after stop, whatever is called in whatever order", async () => {
  // A fixed sequence of 32-bit numbers (xorshift), so that a failure repeats.
  let state = 1;
  const below = (count: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
  for (let round = 0; round < 300; round++) {
    const { clock, task } = setup({
      firstRun: below(2) ? "now" : "after_interval",
      minPauseMs: below(3) * 150,
    });
    const asked: Promise<void>[] = [];
    const actions = [
      () => task.start(),
      () => task.wake(),
      () => void asked.push(task.runOnce()),
      () => void (task.isHeld = below(2) === 1),
      () => task.release(),
      () => clock.advance(below(2_000)),
      () => turn(),
    ];
    for (let step = below(40); step > 0; step--) await actions[below(actions.length)]!();
    const stops = [task.stop(), task.stop()];
    const runs = task.startedAtMs.length;
    for (let step = below(10); step > 0; step--) await actions[below(actions.length)]!();
    task.isHeld = false;
    await task.release();
    await Promise.all([...stops, ...asked]);
    assert.equal(task.active, 0, `round ${round}: a run outlived stop`);
    await clock.advance(60_000);
    assert.equal(task.startedAtMs.length, runs, `round ${round}: a run began after stop`);
    assert.ok(task.mostActive <= 1, `round ${round}: two runs at once`);
  }
});
