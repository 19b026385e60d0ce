import assert from "node:assert/strict";
import { GroupTable, MAX_GROUPS } from "../../../src/message/group_table.ts";
import { createViewer } from "../../../src/message/message_view.ts";

Deno.test("GroupTable: tells apart so many groups, and counts the messages of further ones together", () => {
  const display = { groupBy: ["message"], secret: [] };
  const view = createViewer({ source: "s", list: "dlq", display, nowMs: 0 });
  const letters = (index: number) => index.toString(26).replace(/\d/g, (digit) => "qrstuvwxyz"[Number(digit)]!);
  const views = Array.from({ length: MAX_GROUPS + 3 }, (_, i) => {
    const bytes = new TextEncoder().encode(JSON.stringify({ message: `${"x".repeat(9)} ${letters(i)} ${i}` }));
    return view({ id: "m_0", place: i + 1, bytes, length: bytes.length });
  });
  let samples = 0;
  const table = new GroupTable("s", { nowMs: 0, sampleOf: () => ++samples });
  table.add(views, views.length);
  table.add(views.slice(0, 10), views.length);
  const groups = table.list();
  assert.deepEqual([groups.length, samples, table.ungrouped], [MAX_GROUPS, MAX_GROUPS, 3]);
  assert.deepEqual(groups.map(({ count }) => count).slice(8, 12), [2, 2, 1, 1]);
});
