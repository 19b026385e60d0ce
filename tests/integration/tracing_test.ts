/** The tracer against a real OTLP/HTTP receiver, and against those that are none. */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { Secret } from "../../src/runtime/secret.ts";
import { createLog, type Log } from "../../src/observability/log.ts";
import { OtelTracer, type OtelTracerOptions } from "../../src/app/otel_tracer.ts";
import type { SpanSpec } from "../../src/observability/tracing.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { type HttpStub, startHttpStub } from "../../testkit/http_stub.ts";
import { startOtlpReceiver } from "../../testkit/otlp_receiver.ts";
import { PLANTED } from "../../testkit/planted_secrets.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { inTime, waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const SPAN: SpanSpec = { name: "work", kind: "internal", attributes: { "a.text": "t", "a.number": 7, "a.yes": true } };
/** Longer than any test: nothing is sent before the tracer is stopped, or a batch is full. */
const LATER_MS = 600_000;

interface Traced {
  readonly tracer: OtelTracer;
  /** The service's log, whose lines know their span. */
  readonly log: Log;
  /** Lines so far. */
  readonly lines: Record<string, unknown>[];
}

function trace(url: string, options: Partial<OtelTracerOptions> = {}): Traced {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    ...{ clock: SYSTEM_CLOCK, level: "DEBUG", format: "json", podName: "pod", version: "1.2.3" },
    currentSpan: () => tracer.current(),
    write(line) {
      lines.push(JSON.parse(line));
      watchOutput("log", line);
    },
  });
  const tracer = new OtelTracer({
    ...{ url: new URL(`${url}/v1/traces`), encoding: "protobuf", headers: {}, timeoutMs: 5_000 },
    ...{ resource: { "service.name": "test" }, sampledShare: 1 },
    ...{ lastSendMs: 10_000, scheduleDelayMs: LATER_MS, maxQueueSize: 100, maxBatchSize: 50, version: "1.2.3" },
    ...{ errorType: (error) => (error as Error).name, clock: SYSTEM_CLOCK, log },
    ...options,
  });
  return { tracer, log, lines };
}

async function withStub(body: (stub: HttpStub) => Promise<void>): Promise<void> {
  const stub = await startHttpStub();
  try {
    await body(stub);
  } finally {
    await stub.stop();
  }
}

async function runSpans(tracer: OtelTracer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await tracer.span({ ...SPAN, name: `work ${i}` }, () => Promise.resolve());
}

for (const encoding of ["protobuf", "json"] as const) {
  Deno.test(`OtelTracer: a collector reads what was traced, as ${encoding}`, async () => {
    await using otlp = await startOtlpReceiver();
    const headers = { "x-key": new Secret(PLANTED.otlpKey) };
    const { tracer, lines } = trace(otlp.url, { encoding, headers });
    const beforeNs = BigInt(Date.now()) * 1_000_000n;
    await tracer.span(SPAN, async (outer) => {
      await tracer.span({ ...SPAN, name: "inner", kind: "client", attributes: {} }, (inner) => {
        inner.set({ "b.late": "set" });
        return Promise.resolve();
      });
      outer.fail("told");
    });
    await tracer.stop();
    const [inner, outer] = otlp.spans;
    strictEqual(otlp.spans.length, 2);
    deepStrictEqual([outer!.name, outer!.kind, outer!.status, outer!.parentSpanId], ["work", 1, 2, ""]);
    deepStrictEqual(outer!.attributes, { ...SPAN.attributes, "error.type": "told" });
    deepStrictEqual([inner!.name, inner!.kind, inner!.status], ["inner", 3, 0]);
    deepStrictEqual([inner!.traceId, inner!.parentSpanId], [outer!.traceId, outer!.spanId]);
    deepStrictEqual(inner!.attributes, { "b.late": "set" });
    ok(/^[0-9a-f]{32}$/.test(outer!.traceId) && /^[0-9a-f]{16}$/.test(outer!.spanId));
    // Two clocks are compared here: the machine's, and the one that spans count on from their trace's first.
    const slackNs = 50_000_000n;
    ok(beforeNs <= outer!.startNs + slackNs && outer!.startNs <= inner!.startNs + slackNs);
    ok(inner!.startNs <= inner!.endNs && inner!.endNs <= outer!.endNs + slackNs);
    strictEqual(outer!.resource["service.name"], "test");
    strictEqual(outer!.resource["telemetry.sdk.name"], "opentelemetry");
    const [request, ...others] = otlp.requests;
    deepStrictEqual([request!.path, others.length], ["/v1/traces", 0]);
    strictEqual(request!.headers["x-key"], PLANTED.otlpKey);
    strictEqual(request!.headers.traceparent, undefined, "the sending is traced itself");
    deepStrictEqual([lines, tracer.dropped("queue_full"), tracer.dropped("not_sent")], [[], 0, 0]);
  });
}

Deno.test("OtelTracer: gives result and failure back, and marks the span that failed", async () => {
  await using otlp = await startOtlpReceiver();
  const { tracer } = trace(otlp.url);
  strictEqual(await tracer.span(SPAN, () => Promise.resolve(42)), 42);
  const failure = new RangeError(PLANTED.misplaced);
  await rejects(tracer.span(SPAN, () => Promise.reject(failure)), (error) => error === failure);
  await tracer.stop();
  deepStrictEqual(otlp.spans.map(({ status }) => status), [0, 2]);
  // The kind alone: a message may hold anything.
  strictEqual(otlp.spans[1]!.attributes["error.type"], "RangeError");
});

Deno.test("OtelTracer: a lazy span that is never begun is none, and what is asked for in it is on its own", async () => {
  await using otlp = await startOtlpReceiver();
  const { tracer } = trace(otlp.url);
  const lazy = { ...SPAN, name: "lazy", isLazy: true };
  await tracer.span(lazy, async () => {
    strictEqual(tracer.current(), undefined);
    await tracer.span({ ...SPAN, name: "alone" }, () => Promise.resolve());
  });
  await tracer.span(lazy, async (span) => {
    span.begin();
    span.begin();
    ok(tracer.current());
    await tracer.span({ ...SPAN, name: "child" }, () => Promise.resolve());
    await tracer.span({ ...SPAN, name: "root", isRoot: true }, () => Promise.resolve());
  });
  await tracer.stop();
  const byName = Object.fromEntries(otlp.spans.map((span) => [span.name, span]));
  deepStrictEqual(otlp.spans.map(({ name }) => name), ["alone", "child", "root", "lazy"]);
  deepStrictEqual(
    ["alone", "child", "root", "lazy"].map((name) => byName[name]!.parentSpanId),
    ["", byName.lazy!.spanId, "", ""],
  );
  ok(byName.root!.traceId !== byName.lazy!.traceId);
});

Deno.test("OtelTracer: what goes on behind the end of a span is not within it", async () => {
  await using otlp = await startOtlpReceiver();
  const { tracer } = trace(otlp.url);
  const goOn = Promise.withResolvers<void>();
  let later: Promise<void> | undefined;
  await tracer.span(SPAN, () => {
    later = goOn.promise.then(() => {
      strictEqual(tracer.current(), undefined);
      return tracer.span({ ...SPAN, name: "later" }, () => Promise.resolve());
    });
    return Promise.resolve();
  });
  goOn.resolve();
  await later;
  await tracer.stop();
  deepStrictEqual(otlp.spans.map(({ name, parentSpanId }) => [name, parentSpanId]), [["work", ""], ["later", ""]]);
});

Deno.test("OtelTracer: tells a line its span, each of two at the same time its own", async () => {
  await using otlp = await startOtlpReceiver();
  const { tracer, log, lines } = trace(otlp.url);
  log.info("outside", "before");
  await Promise.all(["one", "two"].map((name) =>
    tracer.span({ ...SPAN, name }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      log.info(name, "inside");
    })
  ));
  await tracer.stop();
  for (const { name, traceId, spanId } of otlp.spans) {
    const line = lines.find(({ event }) => event === name)!;
    deepStrictEqual([line.trace_id, line.span_id], [traceId, spanId]);
  }
  strictEqual(otlp.spans.length, 2);
  ok(!("trace_id" in lines[0]!));
});

for (const [sampledShare, traces] of [[1, 200], [0, 0]] as const) {
  Deno.test(`OtelTracer: records ${traces} of 200 traces by a share of ${sampledShare}, whole ones`, async () => {
    await using otlp = await startOtlpReceiver();
    const { tracer } = trace(otlp.url, { sampledShare, maxQueueSize: 1_000, maxBatchSize: 1_000 });
    let flags = "";
    for (let i = 0; i < 200; i++) {
      await tracer.span(SPAN, async (span) => {
        flags = span.traceparent()!.slice(-2);
        strictEqual(tracer.current() === undefined, traces === 0);
        await tracer.span(SPAN, () => Promise.resolve());
      });
    }
    await tracer.stop();
    strictEqual(otlp.spans.length, 2 * traces);
    strictEqual(flags, traces === 0 ? "00" : "01");
  });
}

Deno.test("OtelTracer: records about the share of the traces that it is told to, whole ones", async () => {
  await using otlp = await startOtlpReceiver();
  const { tracer } = trace(otlp.url, { sampledShare: 0.25, maxQueueSize: 5_000, maxBatchSize: 5_000 });
  for (let i = 0; i < 2_000; i++) await tracer.span(SPAN, () => runSpans(tracer, 1));
  await tracer.stop();
  // 500 are expected; beyond eight standard deviations (155) something is wrong.
  const roots = otlp.spans.filter(({ parentSpanId }) => parentSpanId === "");
  ok(roots.length > 345 && roots.length < 655, `${roots.length}`);
  const ids = (spans: typeof roots) => spans.map(({ traceId }) => traceId).toSorted();
  deepStrictEqual(ids(otlp.spans.filter((span) => !roots.includes(span))), ids(roots));
});

Deno.test("OtelTracer: sends a full batch at once, and one that is not full after its time", async () => {
  await using otlp = await startOtlpReceiver();
  const full = trace(otlp.url, { maxBatchSize: 5 });
  await runSpans(full.tracer, 5);
  await waitUntil(() => otlp.spans.length === 5, { what: "the full batch is there" });
  const timed = trace(otlp.url, { scheduleDelayMs: 20 });
  await runSpans(timed.tracer, 1);
  await waitUntil(() => otlp.spans.length === 6, { what: "the other one is there" });
  await Promise.all([full.tracer.stop(), timed.tracer.stop()]);
});

Deno.test("OtelTracer: a silent collector holds no span up, drops what is too much, and the exit for a moment", async () => {
  await withStub(async (stub) => {
    stub.answer({ fault: "hang" });
    const { tracer, lines } = trace(stub.url, {
      ...{ maxBatchSize: 10, maxQueueSize: 20, timeoutMs: LATER_MS, lastSendMs: 100 },
    });
    await runSpans(tracer, 10);
    await waitUntil(() => stub.requests.length === 1, { what: "the first batch was sent" });
    // With a batch under way for ever, all of these run all the same.
    await runSpans(tracer, 100);
    strictEqual(tracer.dropped("queue_full"), 80);
    await inTime(tracer.stop(), { what: "it stops, without waiting for the time-out of the batch" });
    strictEqual(tracer.dropped("not_sent"), 30);
    deepStrictEqual(lines.map(({ event, reason }) => [event, reason]), [["spans_not_sent", "timeout"]]);
    await tracer.stop();
  });
});

const FAULTS = ["hang", "hang_in_headers", "hang_in_body", "reset", "close", "garbage", "endless"] as const;

for (const fault of FAULTS) {
  Deno.test(`OtelTracer: counts, tells once and goes on when the collector answers with ${fault}`, async () => {
    await withStub(async (stub) => {
      stub.answer({ fault, ...(fault === "endless" || fault === "hang_in_body" ? { status: 500 } : {}) });
      const { tracer, lines } = trace(stub.url, { maxBatchSize: 1, timeoutMs: 50 });
      for (let i = 0; i < 3; i++) {
        await runSpans(tracer, 1);
        await waitUntil(() => tracer.dropped("not_sent") === i + 1, { what: `${i + 1} spans were given up` });
      }
      deepStrictEqual(lines.map(({ event }) => event), ["spans_not_sent"]);
      await tracer.stop();
    });
  });
}

for (const status of [400, 401, 404, 302, 500]) {
  Deno.test(`OtelTracer: does not send a batch again that was answered with ${status}`, async () => {
    await using otlp = await startOtlpReceiver();
    otlp.answer(status);
    const { tracer, lines } = trace(otlp.url);
    await runSpans(tracer, 3);
    await tracer.stop();
    deepStrictEqual([otlp.requests.length, tracer.dropped("not_sent")], [1, 3]);
    deepStrictEqual(lines.map(({ event, status }) => [event, status]), [["spans_not_sent", status]]);
  });
}

Deno.test("OtelTracer: sends batches through its proxy, with the headers", async () => {
  await withStub(async (proxy) => {
    const headers = { "x-key": new Secret(PLANTED.otlpKey) };
    const { tracer, lines } = trace("http://collector.invalid:4318", { headers, proxy: new URL(proxy.url) });
    await runSpans(tracer, 1);
    await tracer.stop();
    deepStrictEqual(
      proxy.requests.map(({ method, target, headers }) => [method, target, headers.host, headers["x-key"]]),
      [["POST", "http://collector.invalid:4318/v1/traces", "collector.invalid:4318", PLANTED.otlpKey]],
    );
    deepStrictEqual([lines, tracer.dropped("not_sent")], [[], 0]);
  });
});

Deno.test("OtelTracer: sends a batch again while the collector is away, busy or starting, within its time", async () => {
  const port = freePort();
  const { tracer, lines } = trace(`http://127.0.0.1:${port}`, { maxBatchSize: 1, timeoutMs: 60_000 });
  await runSpans(tracer, 1);
  await using otlp = await startOtlpReceiver({ port });
  otlp.answer(503);
  await waitUntil(() => otlp.requests.length > 0, { what: "it was sent again", timeoutMs: 10_000 });
  strictEqual(otlp.spans.length, 0);
  otlp.answer(200);
  await waitUntil(() => otlp.spans.length === 1, { what: "it has arrived", timeoutMs: 10_000 });
  deepStrictEqual([lines, tracer.dropped("not_sent")], [[], 0]);
  await tracer.stop();
});

Deno.test("OtelTracer: tells an outage of the collector and its end once each, in no span", async () => {
  const port = freePort();
  const { tracer, lines } = trace(`http://127.0.0.1:${port}`, { maxBatchSize: 1, timeoutMs: 100 });
  // The span that fills a batch is within another.
  await tracer.span(SPAN, () => runSpans(tracer, 1));
  await waitUntil(() => tracer.dropped("not_sent") >= 1, { what: "a span was given up" });
  await runSpans(tracer, 1);
  await waitUntil(() => tracer.dropped("not_sent") === 3, { what: "all were given up" });
  await using otlp = await startOtlpReceiver({ port });
  // On a busy machine an answer may come too late.
  await waitUntil(async () => {
    await runSpans(tracer, 1);
    return lines.length >= 2;
  }, { what: "both are told" });
  ok(otlp.spans.length >= 1);
  const told = lines.map(({ event, dropped, trace_id }) => [event, Number(dropped) >= 3, trace_id]);
  deepStrictEqual(told, [["spans_not_sent", false, undefined], ["spans_sent", true, undefined]]);
  await tracer.stop();
});

Deno.test("OtelTracer: does not try twice at the exit", async () => {
  const { tracer, lines } = trace(`http://127.0.0.1:${freePort()}`, { timeoutMs: LATER_MS, lastSendMs: LATER_MS });
  await runSpans(tracer, 1);
  await tracer.stop();
  deepStrictEqual([tracer.dropped("not_sent"), lines.length], [1, 1]);
});

Deno.test("OtelTracer: waits for nothing at the exit where the last batch failed", async () => {
  await withStub(async (stub) => {
    stub.answer({ status: 500 }, { fault: "hang" });
    const { tracer } = trace(stub.url, { maxBatchSize: 2, timeoutMs: LATER_MS });
    await runSpans(tracer, 2);
    await waitUntil(() => tracer.dropped("not_sent") === 2, { what: "the batch was given up" });
    await runSpans(tracer, 1);
    await tracer.stop();
    strictEqual(tracer.dropped("not_sent"), 3);
  });
});
