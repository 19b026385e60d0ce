/** Who watches a page is told what is, and nothing else. */
import assert from "node:assert/strict";
import { LiveHub, type Viewer } from "../../../src/console/live.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

const GONE = new Error("the job is not kept any more");
const STAYS: Viewer = { isValid: () => true, signal: new AbortController().signal };

/** A page whose only part is what the test says, or an error. */
function createScene() {
  const clock = new TestClock(),
    page: { now: string | Error; renderings: number; tookMs: number } = {
      ...{ now: "a", renderings: 0, tookMs: 0 },
    };
  const hub = new LiveHub({ clock, onFailure: () => {}, isGone: (error) => error === GONE });
  const render = async () => {
    page.renderings++;
    await clock.advance(page.tookMs);
    if (page.now instanceof Error) throw page.now;
    return new Map([["part", page.now]]);
  };
  const watch = (viewer: Partial<Viewer> = {}, key = "page") => hub.watch({ key, render }, { ...STAYS, ...viewer });
  return { clock, page, hub, watch };
}

/** Collects what a stream says, as `event data`. */
function listen(stream: ReadableStream<Uint8Array>) {
  const heard: string[] = [], reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  const over = (async () => {
    for (let read; !(read = await reader.read()).done;) {
      heard.push(...[...read.value.matchAll(/event: (\w+)\ndata: (.*)\n/g)].map(([, name, data]) => `${name} ${data}`));
    }
  })();
  return { heard, over, leave: () => reader.cancel() };
}

/** Streams pass what they have by tasks. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

async function second({ clock }: { clock: TestClock }, seconds = 1): Promise<void> {
  for (let n = 0; n < seconds; n++) {
    await clock.advance(1_000);
    await settled();
  }
}

Deno.test("LiveHub: renders once a second for all who watch, sends what has changed, and else a beat", async () => {
  const scene = createScene(), { hub, page, watch } = scene;
  const [one, two] = [listen((await watch())!), listen((await watch())!)];
  page.now = "b";
  await second(scene);
  await second(scene, 3);
  assert.equal(page.renderings, 5);
  for (const { heard } of [one, two]) {
    assert.deepEqual(heard, ['sections {"part":"a"}', 'sections {"part":"b"}', "beat {}"]);
  }
  await hub.stop();
  await Promise.all([one.over, two.over]);
});

Deno.test("LiveHub: while a page cannot be rendered there is no beat, and a new watcher is not shown what was", async () => {
  const scene = createScene(), { hub, page, watch } = scene;
  const one = listen((await watch())!);
  page.now = new Error("Redis cannot be reached");
  await second(scene, 10);
  assert.deepEqual(one.heard, ['sections {"part":"a"}']);
  await assert.rejects(watch(), /Redis cannot be reached/);
  page.now = "a";
  const two = listen((await watch())!);
  await second(scene);
  assert.deepEqual(one.heard, ['sections {"part":"a"}', 'sections {"part":"a"}'], "it is known to be fresh again");
  assert.equal(two.heard[0], 'sections {"part":"a"}');
  await hub.stop();
});

Deno.test("LiveHub: a page that exists no more moves its watchers and is forgotten", async () => {
  const scene = createScene(), { hub, page, watch } = scene;
  const one = listen((await watch())!);
  page.now = GONE;
  await second(scene);
  await one.over;
  assert.equal(one.heard.at(-1), "moved {}");
  assert.equal(hub.watchers, 0);
  const { renderings } = page;
  await second(scene, 3);
  assert.equal(page.renderings, renderings);
  await hub.stop();
});

Deno.test("LiveHub: keeps nothing of 1,000 watchers that left, lost their key, or never read", async () => {
  const scene = createScene(), { hub, page, watch } = scene, gone = new AbortController();
  let isValid = true;
  for (let n = 0; n < 1_000; n++) {
    const stream = (await watch(
      n % 4 === 1 ? { isValid: () => isValid } : n % 4 === 2 ? { signal: gone.signal } : {},
    ))!;
    if (n % 4 === 0) await stream.cancel();
  }
  assert.equal(hub.watchers, 750);
  isValid = false;
  gone.abort();
  for (const letter of "abcdef") {
    page.now = letter.repeat(300_000);
    await second(scene);
  }
  assert.equal(hub.watchers, 0);
  assert.equal(await watch({ signal: gone.signal }), null);
  assert.equal(hub.watchers, 0);
  await hub.stop();
});

Deno.test("LiveHub: the longer the pages take, the longer it rests", async () => {
  const scene = createScene(), { hub, page, watch } = scene;
  listen((await watch())!);
  page.tookMs = 600;
  await second(scene);
  const { renderings } = page;
  page.tookMs = 0;
  await second(scene, 2);
  assert.equal(page.renderings, renderings, "rests 2.4 s after 0.6 s of work");
  await second(scene);
  assert.equal(page.renderings, renderings + 1);
  await hub.stop();
});

Deno.test("LiveHub: watches no more than 200 pages", async () => {
  const { hub, watch } = createScene();
  for (let n = 0; n < 200; n++) assert.notEqual(await watch({}, `page ${n}`), null);
  assert.equal(await watch({}, "one more"), null);
  assert.notEqual(await watch({}, "page 7"), null);
  await hub.stop();
});
