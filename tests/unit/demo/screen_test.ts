import { equal, ok } from "node:assert/strict";
import { generateDeadLetters } from "../../../testkit/mutt/dead_letters.ts";
import { formatLine, formatNext, formatOpening, formatStay, TABLE_HEAD } from "../../../demo/screen.ts";

const DEPTHS = { dlq: 240, ingest: 3, processing: 1, delivered: 37, dead: 2 };
const gate = (name: string, open: boolean, reason: string) => ({ name, open, reason, detail: "" });

Deno.test("formatLine: names the gates that are closed, and keeps to its columns", () => {
  const gates = [gate("redis", true, "ready"), gate("downstream", false, "unhealthy"), gate("pace", false, "no_room")];
  const line = formatLine(6, { depths: DEPTHS, gates });
  equal(line, "     6   240       4         37     2  downstream closed (unhealthy), pace closed (no_room)");
  equal(line.indexOf("downstream"), TABLE_HEAD.indexOf("gates"));
});

Deno.test("formatLine: a pace that has no room for a moment is no closed gate to a reader", () => {
  const paced = [gate("redis", true, "ready"), gate("pace", false, "no_room")];
  ok(formatLine(1, { depths: DEPTHS, gates: paced }).endsWith("  open, as fast as the pace allows"));
  ok(formatLine(1, { depths: DEPTHS, gates: paced.slice(0, 1) }).endsWith("  open"));
  ok(formatLine(1, { depths: DEPTHS, gates: null }).endsWith("  (no answer)"));
});

Deno.test("formatOpening: counts every kind", () => {
  const counts = [...formatOpening(generateDeadLetters({ count: 60 }), 1).matchAll(/^ +(\d+) /gm)];
  equal(counts.reduce((sum, [, count]) => sum + Number(count), 0), 60);
});

Deno.test("formatNext: names the command as the caller can type it", () => {
  ok(formatNext("npx -y deno@2.9.6").includes("  npx -y deno@2.9.6 task dev "));
});

Deno.test("formatStay: shows the link and the key on lines of their own, to be copied", () => {
  const lines = formatStay({ link: "http://127.0.0.1:8088/login?once=a.b", key: "mrk_abc" }).split("\n");
  ok(lines.includes("  http://127.0.0.1:8088/login?once=a.b"));
  ok(lines.includes("  mrk_abc"));
});
