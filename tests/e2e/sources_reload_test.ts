/** The sources file changes in every way that operators and their tools change files, while messages come in. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { type TestRedis, withRedis } from "../../testkit/redis.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const ORDERS = {
  ...{ dlq: "orders:dlq", target: "orders", dead: "orders:dead" },
  ...{ counter: "attempts", cutOnReplay: ["attempts"], required: ["id"], maxReplays: 3 },
};
const MORE = { dlq: "more:dlq", target: "more", dead: "more:dead" };
const LISTS = ["orders:dlq", "orders", "orders:dead", "orders:buried", "more:dlq", "more", "more:dead"];
/** So many at first that traffic is little beside it: else the brake would rightly take it for messages that come back. */
const BACKLOG = 3_000;

const order = (id: number) => `{"id": ${id}, "attempts": ${id % 4}}`;
const fileOf = (sources: Record<string, unknown>) => JSON.stringify({ sources });

/** Puts a message into each DLQ every 50 ms until disposed of. */
class Traffic implements AsyncDisposable {
  sent = 0;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(redis: TestRedis) {
    this.#running = this.#run(redis);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(redis: TestRedis): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const dlq of ["orders:dlq", "more:dlq"]) await redis.seedList(dlq, [order(BACKLOG + this.sent++)]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function idsIn(redis: TestRedis, lists: readonly string[]): Promise<number[]> {
  const texts = (await Promise.all(lists.map((list) => redis.readTexts(list)))).flat();
  return texts.map((text) => JSON.parse(text).id as number).sort((a, b) => a - b);
}

async function reloads(service: Service): Promise<Record<string, number>> {
  const { metrics } = await service.ports();
  const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  const found = text.matchAll(/^mutt_remediation_config_reloads_total\{result="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...found].map(([, result, count]) => [result!, Number(count)]));
}

/** Makes a change, asks for a look, and waits for a line that tells its outcome. The service may have looked before it was asked. */
async function change(
  service: Service,
  { make, event, tells = /./ }: { make: () => void; event: string; tells?: RegExp },
): Promise<Record<string, unknown>> {
  const before = service.events(event).length;
  make();
  service.signal("SIGHUP");
  return await waitUntil(() => service.events(event).slice(before).find((line) => tells.test(JSON.stringify(line))), {
    ...{ what: `${event} tells ${tells}`, timeoutMs: 15_000 },
  });
}

withRedis(
  "run: loses nothing while its sources are added, changed, broken, deleted, half-written, removed",
  async (redis) => {
    const folder = Deno.makeTempDirSync();
    const path = `${folder}/sources.json`;
    try {
      Deno.writeTextFileSync(path, fileOf({ orders: ORDERS }));
      await redis.seedList("orders:dlq", Array.from({ length: BACKLOG }, (_, id) => order(id)));
      await using traffic = new Traffic(redis);
      await using service = startService({
        env: {
          ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_SOURCES_PATH: path },
          ...{ REMEDIATION_SOURCES: "none", REMEDIATION_INTERVAL: "1", REMEDIATION_BATCH_SIZE: "100" },
        },
      });
      const length = (list: string) => redis.depth(list);
      const grows = async (list: string) => {
        const before = await length(list);
        await waitUntil(async () => await length(list) > before, { what: `${list} grows`, timeoutMs: 20_000 });
      };
      await grows("orders:dead");

      // One source is added, and another judges and buries otherwise.
      const changed = { ...ORDERS, dead: "orders:buried", maxReplays: 2 };
      const applied = await change(service, {
        make: () => Deno.writeTextFileSync(path, fileOf({ orders: changed, more: MORE })),
        event: "sources_applied",
      });
      assert.deepEqual([applied.added, applied.changed, applied.removed], [["more"], ["orders"], []]);
      const deadSoFar = await length("orders:dead");
      const bothGoOn = () => Promise.all([grows("orders:buried"), grows("more")]);
      await bothGoOn();
      assert.equal(await length("orders:dead"), deadSoFar, "the old rules are over");
      await waitUntil(async () => (await idsIn(redis, ["orders:buried"])).some((id) => id % 4 === 2), {
        ...{ what: "the new maxReplays holds", timeoutMs: 20_000 },
      });

      // Bad files change nothing: wrong members, no file, nothing in it, half of it.
      const last = fileOf({ orders: { ...ORDERS, maxReplays: 2 } });
      const bad = { orders: { ...ORDERS, dlq: 5, maxReplays: 0, x: 1 }, "a b": MORE };
      const badFiles: [make: () => void, tells: RegExp][] = [
        [
          () => Deno.writeTextFileSync(path, fileOf(bad)),
          /orders\.x is unknown.*orders\.dlq 5 is not.*orders\.maxReplays 0 is not.*sources\[.*a b.* is not a source's name/,
        ],
        [() => Deno.removeSync(path), /cannot be read: NotFound/],
        [() => Deno.writeTextFileSync(path, ""), /the file is empty/],
        [() => Deno.writeTextFileSync(path, last.slice(0, 60)), /unexpected end of file/],
      ];
      for (const [make, tells] of badFiles) await change(service, { make, event: "sources_rejected", tells });
      await bothGoOn();
      const told = () => ({ applied: 1, rejected: service.events("sources_rejected").length });
      await waitUntil(async () => isDeepStrictEqual(await reloads(service), told()), { what: "the metric tells each" });

      // The other half: one source goes, the other changes back.
      const removed = await change(service, {
        make: () => Deno.writeTextFileSync(path, last.slice(60), { append: true }),
        event: "sources_applied",
      });
      assert.deepEqual([removed.added, removed.changed, removed.removed], [[], ["orders"], ["more"]]);
      await Promise.all([grows("orders:dead"), grows("more:dlq")]);

      service.signal("SIGTERM");
      assert.equal((await service.exit).code, 0);
      await traffic[Symbol.asyncDispose]();
      const expected = Array.from({ length: BACKLOG + traffic.sent }, (_, id) => id);
      assert.deepEqual(await idsIn(redis, LISTS), expected, "every message is in exactly one list");
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  },
);

withRedis("run: follows a file that is swapped as Kubernetes swaps a ConfigMap", async (redis) => {
  const folder = Deno.makeTempDirSync();
  const publish = (version: string, text: string) => {
    Deno.mkdirSync(`${folder}/..${version}`);
    Deno.writeTextFileSync(`${folder}/..${version}/sources.json`, text);
    Deno.symlinkSync(`..${version}`, `${folder}/..data_tmp`);
    Deno.renameSync(`${folder}/..data_tmp`, `${folder}/..data`);
  };
  try {
    publish("one", fileOf({ orders: ORDERS }));
    Deno.symlinkSync("..data/sources.json", `${folder}/sources.json`);
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_INTERVAL: "1" },
        REMEDIATION_SOURCES_PATH: `${folder}/sources.json`,
      },
    });
    // The first look is over, so that the next one is the file's own doing.
    await service.waitForLine(/"redis_ready"/);
    await change(service, { make: () => {}, event: "sources_unchanged" });
    publish("two", fileOf({ orders: ORDERS, more: MORE }));
    Deno.removeSync(`${folder}/..one`, { recursive: true });
    await service.waitForLine(/added: more.*"sources_applied"/, { timeoutMs: 15_000 });
    assert.deepEqual(service.events("sources_rejected"), []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

withRedis("run: windows that are added, moved and removed hold the source without a restart of it", async (redis) => {
  const folder = Deno.makeTempDirSync(), path = `${folder}/sources.json`;
  const ever = { from: "2020-01-01T00:00", to: "9999-12-31T00:00", timeZone: "Europe/Berlin", reason: "maintenance" };
  const write = (windows: readonly unknown[]) =>
    Deno.writeTextFileSync(path, JSON.stringify({ windows, sources: { orders: MORE } }));
  try {
    write([]);
    await using service = startService({
      env: {
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), REMEDIATION_SOURCES_PATH: path },
        ...{ REMEDIATION_SOURCES: "none", REMEDIATION_INTERVAL: "1" },
      },
    });
    const { health } = await service.ports();
    const explained = async () => {
      const answer = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
      return (await answer.json()).sources[0].explanation as string;
    };
    await redis.seedList("more:dlq", [order(1)]);
    await waitUntil(async () => await redis.depth("more") === 1, { what: "it replays", timeoutMs: 20_000 });
    const leads = service.events("leader").length;
    const apply = (windows: readonly unknown[]) =>
      change(service, { make: () => write(windows), event: "sources_applied", tells: /"windows":\["orders"\]/ });
    const { added, changed, removed } = await apply([ever]);
    assert.deepEqual([added, changed, removed], [[], [], []]);
    await redis.seedList("more:dlq", [order(2)]);
    const says = (text: RegExp) => waitUntil(async () => text.test(await explained()), { what: String(text) });
    await says(/^Window: maintenance, until 9999-12-30 23:00 UTC \(9999-12-31 00:00 Europe\/Berlin\)$/);
    await apply([{ ...ever, replay: "only", from: "9999-01-01T00:00", reason: "later" }]);
    await says(/^Outside the window: later, until 9998-12-31 23:00 UTC /);
    assert.equal(await redis.depth("more:dlq"), 1);
    const [warning] = [
      await change(service, {
        make: () => write([{ ...ever, to: "2020-01-02T00:00" }]),
        event: "config_warning",
      }),
    ];
    assert.match(
      String(warning.message),
      /windows\[0\] is over since 2020-01-02T00:00 \(Europe\/Berlin\): it has no effect/,
    );
    await waitUntil(async () => await redis.depth("more:dlq") === 0, { what: "it goes on", timeoutMs: 20_000 });
    assert.equal(service.events("leader").length, leads, "the same source has gone on");
    await change(service, {
      make: () => write([{ ...ever, timeZone: "Mars/X" }]),
      event: "sources_rejected",
      tells: /windows\[0\]\.timeZone .*Mars\/X.* is not an IANA time zone/,
    });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
