/** Redrives of other programs beside ours: rate, cost, what a bystander notices, and what a `kill -9` loses or doubles. */
import { findBullMq } from "../drainers/bullmq.ts";
import { RATE } from "../drainers/drainer.ts";
import { createLmoveInCPeer, createLmovePeer, createOriginalPeer, createOursPeer } from "../drainers/list_peers.ts";
import type { FoundPeer, Peer } from "../drainers/peer.ts";
import { findShovel } from "../drainers/rabbitmq.ts";
import { findSidekiq } from "../drainers/sidekiq.ts";
import { BenchRedis } from "../harness/bench_redis.ts";
import { pingWhile } from "../harness/bystander.ts";
import type { Bench, Family, Figures, Scale, Table, Target } from "../harness/family.ts";
import { countAfterKills, DOUBLED, KILLS, LOST } from "../harness/kills.ts";
import { mayInstall } from "../harness/peer_packages.ts";
import { alternate, mediansOf } from "../harness/rounds.ts";

/** What each peer moves: by who is slow, and by the others. */
interface Load {
  readonly slow: number;
  readonly fast: number;
  /** How often each redrive is killed. */
  readonly kills: number;
  /** The same for a broker, whose restart takes seconds. */
  readonly brokerKills: number;
}

const BYTES = 300;
const LOADS: Readonly<Record<Scale, Load>> = {
  short: { slow: 200, fast: 2_000, kills: 1, brokerKills: 1 },
  full: { slow: 10_000, fast: 100_000, kills: 20, brokerKills: 5 },
};
const PIPELINED = 200;

const SERVER_CPU = "server µs", P99 = "ping p99 ms";

/** The family. */
export const PEERS: Family = {
  name: "peers",
  about: "beside the redrives of BullMQ, Sidekiq and RabbitMQ, the original and LMOVE; and what a kill -9 loses",
  async run(bench) {
    const load = LOADS[bench.scale];
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await BenchRedis.start());
    await redis.seed({ count: load.fast, bytes: BYTES });
    const found = await findPeers({ redis, bench, stack });
    const peers = found.flatMap((one) => "peer" in one ? [one.peer] : []);
    const rounds = await alternate(
      peers.map((peer) => ({ name: peer.name, run: () => measure(peer, { redis, count: countOf(peer, load) }) })),
      bench,
    );
    const rows = [];
    for (const peer of peers) {
      bench.tell(`kill -9 of ${peer.name}`);
      const kills = peer.isInRedis ? load.kills : load.brokerKills;
      const killed = await countAfterKills(peer, { count: countOf(peer, load), kills, signal: bench.signal });
      rows.push({ name: peer.name, figures: { ...mediansOf(rounds.get(peer.name)!), ...killed } });
    }
    const leftOut = found.flatMap((one) => "leftOut" in one ? [one.leftOut] : []);
    return [tableOf(rows, { load, peers, leftOut })];
  },
};

async function findPeers(
  { redis, bench, stack }: { redis: BenchRedis; bench: Bench; stack: AsyncDisposableStack },
): Promise<FoundPeer[]> {
  const options = { bytes: BYTES, install: bench.scale === "full" && mayInstall() };
  return [
    { peer: createOursPeer(redis, bench) },
    await findBullMq(redis, options),
    await findSidekiq(redis, options),
    await findShovel({ ...options, bench, stack }),
    { peer: await createOriginalPeer(redis, bench) },
    { peer: createLmovePeer(redis, bench, PIPELINED) },
    await createLmoveInCPeer(redis, bench, PIPELINED),
  ];
}

function countOf({ isSlow }: Peer, { slow, fast }: Load): number {
  return isSlow ? slow : fast;
}

/** Moves all twice: once alone, and in Redis once more beside pings, which would take processor time from the first. */
async function measure(peer: Peer, { redis, count }: { redis: BenchRedis; count: number }): Promise<Figures> {
  const drain = async (work: (run: () => Promise<{ seconds: number }>) => Promise<Figures>) => {
    await peer.load(count);
    await using prepared = await peer.prepare(count);
    const figures = await work(() => prepared.run());
    await peer.expectArrived(count);
    return figures;
  };
  const alone = await drain(async (run) => {
    const before = await peer.serverCpuUs();
    const { seconds } = await run();
    const after = await peer.serverCpuUs();
    return {
      [RATE]: count / seconds,
      [SERVER_CPU]: before === null || after === null ? null : (after - before) / count,
    };
  });
  if (!peer.isInRedis) return { ...alone, [P99]: null };
  return { ...alone, ...await drain(async (run) => ({ [P99]: (await pingWhile(redis, run)).p99 })) };
}

function tableOf(
  rows: Table["rows"],
  { load, peers, leftOut }: { load: Load; peers: readonly Peer[]; leftOut: readonly string[] },
): Table {
  const slow = peers.filter(({ isSlow }) => isSlow).map(({ name }) => name).join(" and ");
  const number = (value: number) => value.toLocaleString("en");
  return {
    title: `Peers, ${BYTES} bytes a message`,
    rows,
    notes: [
      `${number(load.fast)} messages a run, ${slow} ${
        number(load.slow)
      }. Server µs: processor time per message of Redis' ` +
      "command thread, or of the whole broker.",
      "Kills: how often the moving process (for the shovel the broker, for ours `once --force`) died by kill -9 on the " +
      "way and was started again. Lost and doubled: totals over these kills, counted by identity.",
      ...leftOut,
    ],
    targets: targetsOf(rows[0]!.figures, rows.find(({ name }) => name.startsWith("Sidekiq"))?.figures),
  };
}

/** Wanted: this many times the rate of Sidekiq. */
const TIMES_SIDEKIQ = 25;

function targetsOf(ours: Figures, sidekiq: Figures | undefined): Target[] {
  const rates = [ours[RATE], sidekiq?.[RATE]];
  return [
    {
      ...{ what: `rate, ${BYTES} B: times Sidekiq`, bound: "at least", limit: TIMES_SIDEKIQ, unit: "×" },
      value: rates[0] && rates[1] ? rates[0] / rates[1] : null,
    },
    ...[LOST, DOUBLED].map((heading): Target => ({
      ...{ what: `${heading} by ${ours[KILLS]} kills of ours`, bound: "at most", limit: 0, unit: "messages" },
      value: ours[heading] ?? null,
    })),
  ];
}
