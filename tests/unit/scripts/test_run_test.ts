import assert from "node:assert/strict";
import { formatTally, judge, parseJunit, tallyLine } from "../../../scripts/test_run.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="6" failures="2" errors="0" time="0.010">
    <testsuite name="./a_test.ts" tests="4" disabled="1" errors="0" failures="2">
        <testcase name="says failures=&quot;9&quot;" classname="./a_test.ts" time="0.001" line="1" col="6"></testcase>
    </testsuite>
    <testsuite name="./b_test.ts" tests="2" disabled="0" errors="0" failures="0">
    </testsuite>
</testsuites>`;

Deno.test("parseJunit: adds up the files of a report", () => {
  assert.deepEqual(parseJunit(REPORT), { passed: 3, failed: 2, skipped: 1 });
});

Deno.test("parseJunit: counts nothing when the run ended before its report", () => {
  assert.deepEqual(parseJunit(""), { passed: 0, failed: 0, skipped: 0 });
});

Deno.test("judge: counts a bad end without a failed test as one failure", () => {
  assert.deepEqual(judge({ passed: 3, failed: 0, skipped: 0 }, 1), { passed: 3, failed: 1, skipped: 0 });
  assert.deepEqual(judge({ passed: 3, failed: 2, skipped: 0 }, 1), { passed: 3, failed: 2, skipped: 0 });
  assert.deepEqual(judge({ passed: 3, failed: 0, skipped: 0 }, 0), { passed: 3, failed: 0, skipped: 0 });
});

Deno.test("formatTally: names skipped tests only where there are any", () => {
  assert.equal(formatTally({ passed: 12, failed: 0, skipped: 0 }), "12 passed, 0 failed");
  assert.equal(formatTally({ passed: 12, failed: 1, skipped: 2 }), "12 passed, 1 failed, 2 skipped");
});

Deno.test("tallyLine: begins a line of its own behind what a suite that was ended has left", () => {
  const output = `a test that never ends ... ${tallyLine({ passed: 3, failed: 1, skipped: 0 })}`;
  assert.equal(output.split("\n").at(-1), "3 passed, 1 failed");
});
