import { deepStrictEqual } from "node:assert/strict";
import { formatNotices, noticesSince, parseNotices } from "../../../src/drill/notices.ts";

Deno.test("noticesSince: counts what each receiver was sent since, and never less than none", () => {
  const before = [{ receiver: "ops", sent: 4 }, { receiver: "chat", sent: 9 }, { receiver: "gone", sent: 1 }];
  const now = [{ receiver: "ops", sent: 6 }, { receiver: "chat", sent: 2 }, { receiver: "new", sent: 3 }];
  deepStrictEqual(noticesSince(before, now), [
    ...[{ receiver: "ops", sent: 2 }, { receiver: "chat", sent: 0 }, { receiver: "new", sent: 3 }],
  ]);
});

Deno.test("parseNotices: reads what was written, and nothing else", () => {
  const notices = [{ receiver: "ops", sent: 4 }];
  deepStrictEqual(parseNotices(formatNotices(notices)), notices);
  for (const text of ["", "null", "{", "7", '[{"receiver": 1, "sent": 2}]', "[null]"]) {
    deepStrictEqual(parseNotices(text), []);
  }
});
