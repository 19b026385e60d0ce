import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import type { Cluster } from "ioredis";
import { SlotOwner } from "../../../src/redis/cluster.ts";

const KEY = "mutt:dlq:alerter", SLOT = calculateSlot(KEY);
const ASKED = { host: "10.0.0.1", port: 7_000 };

/** An owner by a map that names `mapped`. */
function ownerOf(mapped?: string): SlotOwner {
  const slots = [];
  if (mapped) slots[SLOT] = [mapped];
  return new SlotOwner({ slots, status: "ready" } as unknown as Cluster, KEY);
}

const MOVES: readonly [answer: string, to: { host: string; port: number }][] = [
  [`MOVED ${SLOT} 10.0.0.2:7001`, { host: "10.0.0.2", port: 7_001 }],
  [`MOVED ${SLOT} node-2.example:7001`, { host: "node-2.example", port: 7_001 }],
  [`MOVED ${SLOT} ::1:7001`, { host: "::1", port: 7_001 }],
  [`MOVED ${SLOT} :7001`, { host: "10.0.0.1", port: 7_001 }],
  [`MOVED ${SLOT} ?:7001`, { host: "10.0.0.1", port: 7_001 }],
];

for (const [answer, to] of MOVES) {
  Deno.test(`SlotOwner: goes where "${answer}" sends it, once`, () => {
    const owner = ownerOf("10.0.0.1:7000");
    assert.equal(owner.isElsewhere(new Error(answer), ASKED), true);
    assert.deepEqual(owner.server(), to);
    assert.deepEqual(owner.server(), ASKED);
  });
}

Deno.test("SlotOwner: knows no server where the map names none", () => {
  assert.equal(ownerOf().server(), null);
  assert.equal(ownerOf("").server(), null);
});

Deno.test("SlotOwner: leaves a master that serves nobody once the map names another, and no sooner", () => {
  const down = new Error("CLUSTERDOWN The cluster is down");
  assert.equal(ownerOf("10.0.0.1:7000").isElsewhere(down, ASKED), false);
  assert.equal(ownerOf().isElsewhere(down, ASKED), false);
  assert.equal(ownerOf("10.0.0.2:7001").isElsewhere(down, ASKED), true);
});

Deno.test("SlotOwner: stays for what is said of another slot, and for any other error", () => {
  const owner = ownerOf("10.0.0.2:7001");
  for (const answer of [`MOVED ${SLOT + 1} 10.0.0.2:7001`, "MOVED nonsense", "TRYAGAIN Multiple keys request"]) {
    assert.equal(owner.isElsewhere(new Error(answer), ASKED), false, answer);
  }
});
