/** Checks error and log texts: no forged lines, no secrets. */
import assert from "node:assert/strict";
import { createLog } from "../src/observability/log.ts";
import { watchOutput } from "./secrets_net.ts";
import { TestClock } from "./test_clock.ts";

/** Characters that end a line or control a terminal. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
/**
 * Length bound: three names or values of 80 characters, each escaped as six, with words between, and a quoted text
 * quoted again.
 */
const LONGEST = 3_000;

/** Checks that each problem and warning is one line of bounded length without the secret. */
export function checkTold(
  result: { readonly ok: boolean; readonly problems?: readonly string[]; readonly warnings?: readonly string[] },
  { secret }: { secret?: string } = {},
): void {
  if (!result.ok) assert.ok(result.problems!.length > 0, "refused, and nobody is told why");
  for (const text of [...result.problems ?? [], ...result.warnings ?? []]) {
    assert.ok(!CONTROLS.test(text), JSON.stringify(text));
    assert.ok(text.length <= LONGEST, `${text.length} characters: ${text.slice(0, 200)}`);
    if (secret !== undefined) assert.ok(!text.includes(secret), text);
  }
}

/**
 * Logs the text in every field that can hold one. Checks that each entry is one line, and that JSON holds the whole
 * text.
 */
export function checkLine(text: string): void {
  for (const format of ["json", "text"] as const) {
    const written: string[] = [];
    const write = (line: string) => {
      written.push(line);
      watchOutput(`log (${format})`, line);
    };
    const log = createLog({ clock: new TestClock(), write, level: "DEBUG", format, podName: text, version: text });
    log.child(text).warning(text, text, { [`f_${text}`]: text, [text]: { [text]: [text] }, error: new Error(text) });
    assert.equal(written.length, 1);
    const line = written[0]!;
    assert.ok(line.endsWith("\n") && !CONTROLS.test(line.slice(0, -1)), JSON.stringify(line).slice(0, 300));
    if (format === "text") continue;
    const read = JSON.parse(line);
    assert.deepEqual([read.logger, read[`f_${text}`]], [`remediation.${text}`, text]);
    // A field may have the name of a built-in one.
    if (!Object.hasOwn({ message: 0, event: 0, function: 0 }, text)) {
      assert.deepEqual([read.message, read.event], [text, text]);
    }
  }
}
