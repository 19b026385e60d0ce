/**
 * BullMQ retries its failed jobs. Started, told and read as bench/harness/mover.ts says.
 *
 *     node bullmq.mjs FOLDER PORT QUEUE   # FOLDER: where npm installed bullmq and ioredis
 */
import { createRequire } from "node:module";
import { once } from "node:events";

/** Jobs a script; BullMQ's default is 1,000 too. */
const JOBS_PER_SCRIPT = 1_000;

const [folder, port, name] = process.argv.slice(2);
const { Queue } = createRequire(`${folder}/`)("bullmq");
const queue = new Queue(name, { connection: { host: "127.0.0.1", port: Number(port) } });
// Without its Redis it would try to connect for ever, also when the benchmark is gone.
queue.on("error", () => process.exit(1));
await queue.waitUntilReady();
await queue.getJobCounts("failed");
console.log("ready");
await once(process.stdin, "data");
const cpu = process.cpuUsage(), startedAtMs = performance.now();
await queue.retryJobs({ state: "failed", count: JOBS_PER_SCRIPT });
const seconds = (performance.now() - startedAtMs) / 1_000;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ seconds, cpu_seconds: (user + system) / 1e6 }));
await queue.close();
process.exit(0);
