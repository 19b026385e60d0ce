import assert from "node:assert/strict";
import { createLog, type LogLevel } from "../../../src/observability/log.ts";
import { assertNoSecrets, PLANTED } from "../../../testkit/planted_secrets.ts";
import { watchOutput } from "../../../testkit/secrets_net.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

function setup(format: "json" | "text", level: LogLevel = "DEBUG") {
  const lines: string[] = [];
  const write = (line: string) => {
    lines.push(line);
    watchOutput("log", line);
  };
  return {
    lines,
    log: createLog({ clock: new TestClock(), write, level, format, podName: "pod-1", version: "1.2.3" }),
  };
}

Deno.test("createLog: writes MUTT's fields, Python's level names and flat extras when the format is json", () => {
  const { log, lines } = setup("json");
  log.child("gates").warning("gate_closed", "closed", { gate: "pace", big: 10n });
  const line = JSON.parse(lines[0]!);
  assert.match(line.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/);
  assert.deepEqual({ ...line, timestamp: "" }, {
    timestamp: "",
    level: "WARNING",
    message: "closed",
    logger: "remediation.gates",
    module: "gates",
    function: "gate_closed",
    line: 0,
    thread: "main",
    service: "remediation",
    version: "1.2.3",
    pod_name: "pod-1",
    correlation_id: "system",
    event: "gate_closed",
    gate: "pace",
    big: "10",
  });
});

Deno.test("createLog: turns an error into type, message and traceback, and lets a message's id replace system", () => {
  const { log, lines } = setup("json");
  log.error("failed", "it failed", { error: new TypeError("planted"), correlation_id: "abc" });
  const { error, correlation_id: id } = JSON.parse(lines[0]!);
  assert.deepEqual([error.type, error.message, id], ["TypeError", "planted", "abc"]);
  assert.match(error.traceback, /TypeError: planted/);
});

Deno.test("createLog: drops lines below its level", () => {
  const { log, lines } = setup("json", "WARNING");
  log.debug("a", "a");
  log.info("b", "b");
  log.warning("c", "c");
  log.error("d", "d");
  assert.deepEqual(lines.map((line) => JSON.parse(line).event), ["c", "d"]);
});

Deno.test("createLog: writes one line whatever the text holds, in both formats", () => {
  for (const format of ["json", "text"] as const) {
    const { log, lines } = setup(format);
    log.info("x", "first\r\nsecond\u2028\u001b[31m\u009b31m\u0085\u007f", { "a\nb\u2029": "a\nb\u0085" });
    assert.equal(lines.length, 1);
    // deno-lint-ignore no-control-regex
    assert.match(lines[0]!, /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*\n$/, format);
    assert.ok(lines[0]!.includes("second\\u2028\\u001b[31m\\u009b31m\\u0085\\u007f"), lines[0]);
  }
});

Deno.test("createLog: shows what turns the order of a line around, or is not seen, as escapes", () => {
  const hidden = "\u061c\u200b\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\u00ad\u{e0041}";
  for (const format of ["json", "text"] as const) {
    const { log, lines } = setup(format);
    log.info("x", `before ${hidden} after`, { [hidden]: hidden });
    assert.doesNotMatch(lines[0]!, /\p{Cf}/u, format);
    assert.match(
      lines[0]!,
      /before \\u061c\\u200b\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069\\ufeff\\u00ad\\udb40\\udc41 after/,
    );
    if (format === "json") assert.equal(JSON.parse(lines[0]!)[hidden], hidden, "nothing is lost");
  }
});

Deno.test("createLog: writes the line without its fields when they cannot be shown", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  for (const format of ["json", "text"] as const) {
    const { log, lines } = setup(format);
    log.info("x", "it happened", { circle });
    log.info("x", "counted", { big: 10n });
    assert.match(lines[0]!, /it happened.*fields_dropped/, format);
    assert.match(lines[1]!, /counted.*"10"/, format);
  }
});

Deno.test("createLog: never throws when a line cannot be written", () => {
  const write = () => {
    throw new Error("disk full");
  };
  const options = { clock: new TestClock(), write, level: "DEBUG", format: "json", podName: "", version: "" } as const;
  createLog(options).error("x", "x");
});

Deno.test("createLog: shows nothing that hangs on an error within a field, and tells its text", () => {
  const error = Object.assign(new Error("refused"), { command: { name: "auth", args: [PLANTED.redisPassword] } });
  for (const format of ["json", "text"] as const) {
    const { log, lines } = setup(format);
    log.warning("event", "text", { error, cause: error, deep: { errors: [error] }, big: { n: 1n } });
    assert.equal(lines[0]!.match(/refused/g)!.length >= 3, true, lines[0]);
    assertNoSecrets(format, lines[0]!);
  }
});

Deno.test("createLog: a line within a span carries its ids, as JSON only, and one outside carries none", () => {
  const ids = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
  let span: typeof ids | undefined = ids;
  const lines = (["json", "text"] as const).map((format) => {
    const lines: string[] = [];
    const write = (line: string) => lines.push(line);
    const log = createLog({
      ...{ clock: new TestClock(), write, level: "INFO", format, podName: "pod-1", version: "1.2.3" },
      currentSpan: () => span,
    });
    span = ids;
    log.child("within").info("event", "told");
    span = undefined;
    log.info("event", "told");
    return lines;
  });
  const [within, outside] = lines[0]!.map((line) => JSON.parse(line));
  assert.deepEqual([within.trace_id, within.span_id], [ids.traceId, ids.spanId]);
  assert.ok(!("trace_id" in outside) && !("span_id" in outside));
  assert.ok(!lines[1]!.join("").includes(ids.traceId));
});

Deno.test("createLog: asks for a costly message only where its level is written", () => {
  let made = 0;
  const message = () => `costly ${++made}`;
  for (const level of ["INFO", "DEBUG"] as const) {
    const { log, lines } = setup("json", level);
    log.debug("preview", message);
    assert.deepEqual(lines.map((line) => JSON.parse(line).message), level === "DEBUG" ? ["costly 1"] : []);
  }
  assert.equal(made, 1);
});
