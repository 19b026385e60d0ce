import { BenchRedis } from "./bench/harness/bench_redis.ts";
import { drainByService, serviceEnv } from "./bench/harness/service_drain.ts";
import { startService } from "./tests/support/service.ts";
import { readResidentMib } from "./bench/harness/process_memory.ts";
const count = Number(Deno.env.get("COUNT") ?? 1000000), bytes = Number(Deno.env.get("BYTES") ?? 300);
await using redis = await BenchRedis.start();
await redis.seed({ count, bytes });
const bench = { signal: new AbortController().signal } as never;
for (let round = 0; round < Number(Deno.env.get("ROUNDS") ?? 1); round++) {
  for (const v of Deno.args) {
    Deno.env.set("MUTT_REMEDIATION_BINARY", v);
    await redis.empty();
    const ms: number[] = [];
    for (let i = 0; i < 5; i++) {
      using l = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const port = l.addr.port;
      l.close();
      const t = performance.now();
      await using s = startService({ env: { ...serviceEnv(redis), HEALTH_PORT_REMEDIATION: String(port) } });
      while (true) {
        const r = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
        await r?.body?.cancel();
        if (r?.status === 200) break;
        await new Promise((r) => setTimeout(r, 1));
      }
      ms.push(performance.now() - t);
    }
    const f = await drainByService(redis, { count, idleMs: 2500 }, bench);
    console.log(
      v,
      "start",
      ms.sort((a, b) => a - b)[2]!.toFixed(0),
      JSON.stringify(f, (_, x) => typeof x === "number" ? Number(x.toFixed(1)) : x),
    );
  }
}
Deno.exit(0);
