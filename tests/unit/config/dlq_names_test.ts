import assert from "node:assert/strict";
import fc from "fast-check";
import {
  deadListNames,
  defaultDeadList,
  parseDeadName,
  parseDlqName,
  sourceNameOf,
  workQueueNames,
} from "../../../src/config/dlq_names.ts";
import { SOURCE_NAME_PATTERN } from "../../../src/config/sources_file.ts";

const DLQS: readonly [key: string, base: string | null, isSure: boolean][] = [
  ["orders:dlq", "orders", true],
  ["orders.dlq", "orders", true],
  ["orders-dlq", "orders", true],
  ["orders_dlq", "orders", true],
  ["orders/dlq", "orders", true],
  ["ORDERS:DLQ", "ORDERS", true],
  ["shop:orders:dlq", "shop:orders", true],
  ["dlq:orders", "orders", true],
  ["mutt:dlq:alerter", "mutt:alerter", true],
  ["{orders}:dlq", "{orders}", true],
  ["orders:dead-letter", "orders", true],
  ["orders:dead_letter", "orders", true],
  ["orders:deadletter", "orders", true],
  ["orders:dead-letters", "orders", true],
  ["orders:dead-letter-queue", "orders", true],
  ["orders_dead_letter_queue", "orders", true],
  ["dead-letter:orders", "orders", true],
  ["orders:failed", "orders", false],
  ["orders.failures", "orders", false],
  ["failed:orders", "orders", false],
  ["orders:errors", "orders", false],
  ["dlq", null, true],
  ["failed", null, false],
];

for (const [key, base, isSure] of DLQS) {
  Deno.test(`parseDlqName: reads ${key}`, () => {
    const name = parseDlqName(key);
    assert.deepEqual({ base: name?.base, isSure: name?.isSure }, { base, isSure });
  });
}

for (
  const key of [
    "orders",
    "",
    ":dlq",
    "dlq:",
    "ordersdlq",
    "orders:dlqs",
    "orders:failed:2024",
    "errors:orders",
    "orders:dead",
  ]
) {
  Deno.test(`parseDlqName: does not take ${JSON.stringify(key)} for a DLQ`, () => {
    assert.equal(parseDlqName(key), null);
  });
}

Deno.test("workQueueNames, deadListNames: use the separator of the DLQ", () => {
  assert.deepEqual(workQueueNames(parseDlqName("orders-dlq")!).slice(0, 2), ["orders", "orders-queue"]);
  assert.deepEqual(workQueueNames(parseDlqName("dlq")!), []);
  assert.equal(deadListNames("orders", "-")[0], "orders-dead");
  assert.equal(defaultDeadList({ dlq: "orders-dlq", target: "orders" }), "orders-dead");
  assert.equal(defaultDeadList({ dlq: "graves", target: "orders" }), "orders:dead");
});

Deno.test("parseDeadName: knows every name that deadListNames gives", () => {
  for (const name of deadListNames("orders")) assert.equal(parseDeadName(name), "orders");
  assert.equal(parseDeadName("orders:dlq"), null);
  assert.equal(parseDeadName("dead"), null);
});

Deno.test("sourceNameOf: names the source by the part that is not the DLQ's word", () => {
  assert.equal(sourceNameOf("orders:dlq"), "orders");
  assert.equal(sourceNameOf("Shop:Orders.DLQ"), "shop-orders");
  assert.equal(sourceNameOf("dlq"), "dlq");
  assert.equal(sourceNameOf("42:dlq"), "source");
  assert.equal(sourceNameOf("orders:dlq", new Set(["orders", "orders-2"])), "orders-3");
  assert.equal(sourceNameOf("alerter:dlq"), "alerter-2", "a built-in source would be overridden");
});

Deno.test("sourceNameOf: is a valid name that is free, whatever the DLQ is called", () => {
  const name = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme-ascii", maxLength: 60 }));
  fc.assert(fc.property(name, fc.array(name), (dlq, others) => {
    const taken = new Set<string>();
    for (const one of [dlq, dlq, ...others]) {
      const found = sourceNameOf(one, taken);
      assert.match(found, new RegExp(SOURCE_NAME_PATTERN));
      assert.ok(!taken.has(found));
      taken.add(found);
    }
  }));
});
