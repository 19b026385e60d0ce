/** What the network does to a cycle, and the steps of a cycle as they are seen on the wire. */
import { createHash } from "node:crypto";
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import beginCycle from "../../../src/redis/scripts/begin_cycle.lua" with { type: "text" };
import claimProbe from "../../../src/redis/scripts/claim_probe.lua" with { type: "text" };
import commitMoves from "../../../src/redis/scripts/commit_moves.lua" with { type: "text" };
import finishMoves from "../../../src/redis/scripts/finish_moves.lua" with { type: "text" };
import peekChunk from "../../../src/redis/scripts/peek_chunk.lua" with { type: "text" };
import peekSource from "../../../src/redis/scripts/peek_source.lua" with { type: "text" };
import readChunk from "../../../src/redis/scripts/read_chunk.lua" with { type: "text" };
import recordProbe from "../../../src/redis/scripts/record_probe.lua" with { type: "text" };
import settleCommit from "../../../src/redis/scripts/settle_commit.lua" with { type: "text" };
import takeLease from "../../../src/redis/scripts/take_lease.lua" with { type: "text" };
import writeLedger from "../../../src/redis/scripts/write_ledger.lua" with { type: "text" };
import { scriptText } from "../../../src/redis/scripts.ts";
import type { RequestMatch, TcpProxy } from "../../../testkit/tcp_proxy.ts";
import { pause } from "../harness/pause.ts";

/** How long a command may take in these rounds, in milliseconds. */
export const TIMEOUT_MS = 200;

/** A step of a cycle: the texts of which one is in its request, and how often it comes in a round at least. */
export interface Step {
  readonly name: string;
  readonly texts: readonly string[];
  readonly times: number;
  /** It only comes when a commit was cut. */
  readonly afterCut?: boolean;
  /** It only comes where there is a lease. */
  readonly ofLease?: boolean;
}

/** A script goes with its text first and by its hash then. They begin with what they include, so the end tells them apart. */
function script(...files: string[]): readonly string[] {
  return files.map((lua) => scriptText(lua)).flatMap((
    lua,
  ) => [createHash("sha1").update(lua).digest("hex"), lua.slice(-60)]);
}

export const COMMIT: Step = { name: "commit", texts: script(commitMoves, finishMoves), times: 3 };

/** Every step (of `watch`, `multi` and `exec` the first three are the proof that WATCH guards): the scripts, what the gates ask, and the greeting of a new connection. */
export const STEPS: readonly Step[] = [
  { name: "lease", texts: script(takeLease), times: 1, ofLease: true },
  { name: "peek", texts: script(peekSource), times: 2 },
  { name: "depth", texts: ["llen"], times: 3 },
  { name: "pace", texts: ["zcount"], times: 3 },
  { name: "look", texts: ["scan"], times: 1 },
  { name: "heartbeat", texts: ["exists"], times: 2 },
  { name: "claim", texts: script(claimProbe), times: 2 },
  { name: "record", texts: script(recordProbe), times: 2 },
  { name: "begin", texts: script(beginCycle), times: 1 },
  { name: "read", texts: script(readChunk, peekChunk), times: 3 },
  { name: "watch", texts: ["watch"], times: 5 },
  { name: "multi", texts: ["MULTI"], times: 5 },
  { name: "reserve", texts: script(writeLedger), times: 2 },
  COMMIT,
  { name: "exec", texts: ["EXEC"], times: 5 },
  { name: "settle", texts: script(settleCommit), times: 1, afterCut: true },
  { name: "greeting", texts: ["hello"], times: 1, afterCut: true },
];

/** What a fault is given. */
export interface Victim {
  readonly proxy: TcpProxy;
  /** The request that it hits. */
  readonly request: RequestMatch;
  readonly random: SeededRandom;
}

/** A fault: resolves when it has hit and is over; what lasts until the end of the round is healed there. */
export interface Fault {
  readonly name: string;
  readonly inflict: (victim: Victim) => Promise<void>;
}

export const FAULTS: readonly Fault[] = [
  {
    name: "latency",
    inflict: async ({ proxy, request, random }) => {
      const ms = 1 + random.below(TIMEOUT_MS / 10);
      await proxy.at(request, () => proxy.delay(ms));
      await pause(100 + random.below(2 * TIMEOUT_MS));
      proxy.heal();
    },
  },
  {
    // Longer than a command may take: it arrives, and is answered, when nobody waits for it any more.
    name: "late",
    inflict: async ({ proxy, request, random }) => {
      const ms = TIMEOUT_MS / 2 + random.below(TIMEOUT_MS);
      await proxy.at(request, () => proxy.delay(ms));
      await pause(1 + random.below(TIMEOUT_MS));
      proxy.heal();
    },
  },
  { name: "cut-before-request", inflict: ({ proxy, request }) => proxy.cut("before_request", request) },
  { name: "cut-before-reply", inflict: ({ proxy, request }) => proxy.cut("before_reply", request) },
  { name: "cut-all", inflict: ({ proxy, request }) => proxy.at(request, () => proxy.cutAll()) },
  {
    name: "half-open",
    inflict: async ({ proxy, request, random }) => {
      await proxy.at(request, () => proxy.stall());
      await pause(TIMEOUT_MS / 2 + random.below(2 * TIMEOUT_MS));
      proxy.heal();
    },
  },
  {
    name: "half-open-replies",
    inflict: async ({ proxy, request, random }) => {
      await proxy.at(request, () => proxy.stall("replies"));
      await pause(TIMEOUT_MS / 2 + random.below(2 * TIMEOUT_MS));
      proxy.heal();
    },
  },
  {
    // The connection never answers again, another takes its place; in the midst of a later commit the server gets it after all.
    name: "late-ghost",
    inflict: async ({ proxy, request, random }) => {
      const occurrence = 2 + random.below(3);
      await proxy.swallow(request);
      proxy.at({ ...COMMIT, occurrence }, () => proxy.heal());
    },
  },
  {
    name: "drip",
    inflict: async ({ proxy, request, random }) => {
      const bytes = 2 ** random.below(7);
      await proxy.at(request, () => proxy.drip(bytes));
      await pause(50 + random.below(2 * TIMEOUT_MS));
      proxy.heal();
    },
  },
];
