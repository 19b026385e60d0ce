/** What the benchmarks count after kills: messages by identity, in every place. */
import { deepEqual, rejects } from "node:assert/strict";
import type { Peer } from "../../../bench/drainers/peer.ts";
import { countAfterKills, DOUBLED, KILLS, LOST } from "../../../bench/harness/kills.ts";
import { idsIn, makeMessage } from "../../../bench/harness/messages.ts";

const COUNT = 12, BYTES = 300, KILL_COUNT = 3;
const { signal } = new AbortController();

/** A peer of two lists. Each of its first runs moves a message a look at its depth until it is killed; the next one moves the rest. */
function createFakePeer(onKill: (dead: string[], target: string[]) => void, { isStuck = false } = {}): Peer {
  let dead: string[] = [], target: string[] = [], runs = 0;
  return {
    ...{ name: "fake", isSlow: false, isInRedis: false },
    load(count) {
      dead = Array.from({ length: count }, (_, index) => makeMessage(index, BYTES).toString());
      target = [];
      return Promise.resolve();
    },
    depth() {
      if (runs <= KILL_COUNT && !isStuck) target.push(...dead.splice(0, 1));
      return Promise.resolve(dead.length);
    },
    start() {
      const { promise, resolve } = Promise.withResolvers<"done" | "killed">();
      if (++runs > KILL_COUNT || isStuck) {
        if (!isStuck) target.push(...dead.splice(0));
        resolve("done");
      }
      const kill = () => {
        onKill(dead, target);
        resolve("killed");
      };
      return Promise.resolve({ kill, ended: promise, [Symbol.asyncDispose]: () => Promise.resolve() });
    },
    readTexts: () => Promise.resolve([...dead, ...target].map((text) => JSON.stringify({ args: [text] }))),
    prepare: () => Promise.reject(new Error("not measured here")),
    expectArrived: () => Promise.resolve(),
    serverCpuUs: () => Promise.resolve(null),
  };
}

const load = { count: COUNT, kills: KILL_COUNT, signal };

Deno.test("countAfterKills: counts what no place has, and every copy beyond the first", async () => {
  const exact = createFakePeer(() => {});
  const losing = createFakePeer((dead) => dead.shift());
  const doubling = createFakePeer((dead, target) => dead.push(target[0]!, target[0]!));
  deepEqual(await countAfterKills(exact, load), { [KILLS]: 3, [LOST]: 0, [DOUBLED]: 0 });
  deepEqual(await countAfterKills(losing, load), { [KILLS]: 3, [LOST]: 3, [DOUBLED]: 0 });
  deepEqual(await countAfterKills(doubling, load), { [KILLS]: 3, [LOST]: 0, [DOUBLED]: 6 });
});

Deno.test("countAfterKills: fails when the redrive leaves messages", async () => {
  const stuck = createFakePeer(() => {}, { isStuck: true });
  await rejects(countAfterKills(stuck, { ...load, kills: 0 }), /fake left 12 messages after 5 runs/);
});

Deno.test("idsIn: finds a message's identity however it is wrapped", () => {
  const [first, second] = [0, 1].map((index) => makeMessage(index, BYTES).toString());
  deepEqual(idsIn(JSON.stringify({ data: JSON.stringify({ message: first }) })).length, 1);
  deepEqual(new Set(idsIn(first! + second!)).size, 2);
  deepEqual(idsIn("{}"), []);
});
