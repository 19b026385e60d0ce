/** Sidekiq's `DeadSet#retry_all`: removes one dead job, then pushes it to its queue. */
import { fileURLToPath } from "node:url";
import type { BenchRedis } from "../harness/bench_redis.ts";
import { makeMessage } from "../harness/messages.ts";
import { type MoverCommand, prepareMover, startRedrive } from "../harness/mover.ts";
import { isFolder, PEER_CACHE, unpackFromDebian } from "../harness/peer_packages.ts";
import { run } from "../harness/program.ts";
import { type FoundPeer, inRedis, type Peer } from "./peer.ts";

const SCRIPT = fileURLToPath(new URL("sidekiq.rb", import.meta.url));
const FOLDER = `${PEER_CACHE}/ruby-sidekiq`;
const LOOK = 'require "sidekiq/api"; print Sidekiq::VERSION';
const DEAD_SET = "dead", QUEUE = "alerter", QUEUE_KEY = `queue:${QUEUE}`;
const JOBS_PER_TRIP = 2_000;
const DIED_AT_SECONDS = Date.UTC(2026, 0, 15, 14, 30, 0) / 1_000;

/** A Ruby that has Sidekiq. */
type Ruby = Pick<Required<MoverCommand>, "env"> & { readonly program: string; readonly version: string };

/** Finds it in the system or the cache, or unpacks it there if it may. */
export async function findSidekiq(
  redis: BenchRedis,
  { bytes, install }: { bytes: number; install: boolean },
): Promise<FoundPeer> {
  let ruby = await findRuby();
  if (ruby === null && install) {
    await unpackFromDebian("ruby-sidekiq", FOLDER).catch(() => {});
    ruby = await findRuby();
  }
  if (ruby === null) return { leftOut: "Sidekiq is left out: not installed here (Debian: ruby-sidekiq)." };
  return { peer: createSidekiq(redis, { ruby, bytes }) };
}

async function findRuby(): Promise<Ruby | null> {
  const inCache = isFolder(FOLDER) ? [{ program: `${FOLDER}/usr/bin/ruby`, env: await envOf(FOLDER) }] : [];
  for (const { program, env } of [{ program: "ruby", env: {} }, ...inCache]) {
    const version = await run([program, "-e", LOOK], { env }).catch(() => null);
    if (version !== null) return { program, env, version };
  }
  return null;
}

/** Makes an unpacked Ruby find its libraries. */
async function envOf(root: string): Promise<Record<string, string>> {
  const lib = `${root}/usr/lib`, arch = `${lib}/${await archFolder(lib)}`;
  const [abi = ""] = [...Deno.readDirSync(`${lib}/ruby`)].map(({ name }) => name).filter((name) => /^\d/.test(name));
  const folders = [
    `${lib}/ruby/${abi}`,
    `${arch}/ruby/${abi}`,
    `${lib}/ruby/vendor_ruby`,
    `${arch}/ruby/vendor_ruby/${abi}`,
  ];
  const gems = "/usr/share/rubygems-integration/all";
  return { LD_LIBRARY_PATH: arch, RUBYLIB: folders.join(":"), GEM_PATH: `${root}${gems}:${gems}` };
}

/** Debian's folder for libraries of this machine's processor, such as `x86_64-linux-gnu`. */
async function archFolder(lib: string): Promise<string> {
  for await (const { name } of Deno.readDir(lib)) if (name.includes("-linux-gnu")) return name;
  return "";
}

function createSidekiq(redis: BenchRedis, { ruby, bytes }: { ruby: Ruby; bytes: number }): Peer {
  const client = redis.client();
  const mover: MoverCommand = { command: [ruby.program, SCRIPT, String(redis.port)], env: ruby.env };
  return {
    ...{ name: `Sidekiq ${ruby.version}`, isSlow: true },
    ...inRedis(redis),
    async load(count) {
      await redis.empty();
      for (let from = 0; from < count; from += JOBS_PER_TRIP) {
        const indexes = Array.from({ length: Math.min(JOBS_PER_TRIP, count - from) }, (_, i) => from + i);
        // Two jobs of the same instant would make `retry_all` slower: it finds a job by its score.
        const members = indexes.flatMap((index) => {
          const diedAtSeconds = DIED_AT_SECONDS + index / 1_000;
          return [diedAtSeconds, deadJob(index, { bytes, diedAtSeconds })];
        });
        await client.zadd(DEAD_SET, ...members);
      }
    },
    prepare: () => prepareMover(mover),
    async expectArrived(count) {
      const found = await Promise.all([client.zcard(DEAD_SET), client.llen(QUEUE_KEY)]);
      if (String(found) !== String([0, count])) throw new Error(`Sidekiq's dead and queued jobs are ${found}`);
    },
    depth: () => client.zcard(DEAD_SET),
    start: () => Promise.resolve(startRedrive(mover)),
    async readTexts() {
      return [...await client.zrange(DEAD_SET, "0", "-1"), ...await client.lrange(QUEUE_KEY, 0, -1)];
    },
  };
}

/** A job that used up its retries, as Sidekiq 6 writes it. */
function deadJob(index: number, { bytes, diedAtSeconds }: { bytes: number; diedAtSeconds: number }): string {
  return JSON.stringify({
    ...{ retry: true, queue: QUEUE, class: "Replay", args: [makeMessage(index, bytes).toString()] },
    ...{ jid: index.toString(16).padStart(24, "0"), created_at: diedAtSeconds - 100, enqueued_at: diedAtSeconds - 1 },
    ...{ error_message: "refused", error_class: "RuntimeError", failed_at: diedAtSeconds - 99, retry_count: 25 },
    retried_at: diedAtSeconds,
  });
}
