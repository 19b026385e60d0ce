import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import {
  coarseCountsKey,
  countsKey,
  historyKey,
  jobListKey,
  movesKey,
  oversizeKey,
  receiptKey,
  recordOrderKey,
  recordsKey,
  shelfKey,
  stateKey,
  waitingKey,
} from "../../../src/redis/keys.ts";

Deno.test("keys: all keys of a source differ, and are in the slot of its DLQ, with and without a hash tag", () => {
  for (const dlq of ["mutt:dlq:alerter", "{mutt}:dlq:alerter", "a{b}c{d}"]) {
    const keys = [
      ...[
        stateKey,
        oversizeKey,
        waitingKey,
        shelfKey,
        movesKey,
        historyKey,
        countsKey,
        coarseCountsKey,
        recordsKey,
        recordOrderKey,
      ].map((key) => key(dlq)),
      ...[receiptKey(dlq, "pod-1"), jobListKey(dlq, "j_1")],
    ];
    assert.equal(new Set(keys).size, keys.length);
    for (const key of keys) assert.equal(calculateSlot(key), calculateSlot(dlq), key);
  }
});
