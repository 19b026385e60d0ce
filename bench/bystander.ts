/**
 * A program of its own that shares the Redis: pings every millisecond, whether or not the answers come, until its input
 * ends. A stall holds up all the pings that fall into it, as it would hold up real clients.
 *
 *     deno run --allow-net bench/bystander.ts PORT   # writes {"count", "p50", "p99", "p999", "max"}, milliseconds
 */
const PERIOD_MS = 1;
const PING = new TextEncoder().encode("PING\r\n");
/** Length of `+PONG` and its line end. */
const PONG_BYTES = 7;

const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(Deno.args[0]) });
connection.setNoDelay(true);
const sentAtMs: number[] = [];
const latencies: number[] = [];

async function readPongs(): Promise<void> {
  const buffer = new Uint8Array(4_096);
  for (let bytes = 0, count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    bytes += count;
    const nowMs = performance.now();
    while (latencies.length < Math.floor(bytes / PONG_BYTES)) latencies.push(nowMs - sentAtMs[latencies.length]!);
  }
}

function ping(): Promise<unknown> {
  sentAtMs.push(performance.now());
  return connection.write(PING);
}

async function untilInputEnds(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
}

function summarize(): Record<string, number> {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}

const reading = readPongs();
await ping();
const timer = setInterval(ping, PERIOD_MS);
console.log("pinging");
await untilInputEnds();
clearInterval(timer);
// What was sent is waited for, and told.
while (latencies.length < sentAtMs.length) await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
await connection.closeWrite();
await reading;
connection.close();
console.log(JSON.stringify(summarize()));
export {};
