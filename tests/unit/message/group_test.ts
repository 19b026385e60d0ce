import assert from "node:assert/strict";
import { groupId, maskText, MAX_GROUP_CHARACTERS } from "../../../src/message/group.ts";

const masks: [text: string, masked: string][] = [
  ["", ""],
  ["nothing to mask: done", "nothing to mask: done"],
  ["Connection to 10.0.0.1:443 refused after 30s", "Connection to • refused after •s"],
  ["Nov 29 00:09:08 web-01 sshd[123]: Failed for 'root'", "• • web-• sshd[•]: Failed for 'root'"],
  ["2026-11-29T20:00:00.123Z down", "• down"],
  ["2026-11-29 20:00:00,123 down", "• • down"],
  ["at 1764446400 and 1764446400123", "at • and •"],
  ["from fe80::1 to 2001:db8::ff00:42:8329, ::1", "from • to •, •"],
  ["mac 00:1b:44:11:3a:b7 is ab:cd:ef:ab:cd:ef", "mac • is •"],
  ["id 550e8400-e29b-41d4-a716-446655440000.", "id •."],
  ["commit deadbe12 of 0xff", "commit • of •"],
  ["user 'ab-12' and \"c3\" and `d4`", "user '•' and \"•\" and `•`"],
  ["it's 5 o'clock", "it's • o'clock"],
  ["GigabitEthernet0/1/2 eth0", "GigabitEthernet• eth•"],
  ["path /var/log/12/34", "path /var/log/•"],
  ["1,234 of 5.6e7", "• of •e•"],
  ["std::string error: a::b", "std::string error: a::b"],
  ["a\t\n b\u0000c\u00a0\u2028d", "a b c d"],
  ["token sk1abcdefg2hijk3z done", "token • done"],
  ["café №5 日本7", "café №• 日本•"],
  ["• 5 •.6", "• • •"],
];

for (const [text, masked] of masks) {
  Deno.test(`maskText: ${JSON.stringify(text)}`, () => {
    assert.equal(maskText(text), masked);
    assert.equal(maskText(masked), masked);
  });
}

Deno.test("maskText: cuts a long text, not inside a character", () => {
  const cut = maskText(`${"x".repeat(MAX_GROUP_CHARACTERS - 2)}😀😀`);
  assert.equal(cut, `${"x".repeat(MAX_GROUP_CHARACTERS - 2)}…`);
  assert.equal(maskText("y ".repeat(1_000_000)).length, MAX_GROUP_CHARACTERS);
});

Deno.test("groupId: differs by source, reason and text, however they are split", () => {
  const facts = [["a", "b", "c"], ["ab", "", "c"], ["a", "bc", ""], ["a", null, "bc"], ["a", "null", "bc"]] as const;
  const ids = facts.map(([source, reason, groupText]) => groupId({ source, reason, groupText }));
  assert.equal(new Set(ids).size, facts.length);
  for (const id of ids) assert.match(id, /^g_[0-9a-f]{12}$/);
});
