/**
 * Spans by OpenTelemetry's SDK, sent over OTLP/HTTP. Loaded only where tracing is on, by `src/app/tracing.ts`.
 *
 * Ids, sampling, batches and the wire format are the SDK's. The sending is ours: the SDK's own exporter reads the environment behind
 * the back of the settings, takes its time-out from byte to byte, and cannot be broken off, so that a silent collector would hold
 * the exit up.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { type Context, ROOT_CONTEXT, type Span as SdkSpan, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Secret } from "../runtime/secret.ts";
import type { Clock } from "../runtime/clock.ts";
import { type FetchOutcome, fetchStatus } from "../runtime/bounded_fetch.ts";
import type { Log } from "./log.ts";
import type { Span, SpanAttributes, SpanDropReason, SpanIds, SpanSpec, Tracer } from "./tracing.ts";

/** What `lastSendMs` is by default: a collector that is well takes a batch in a fraction of it. */
const LAST_SEND_MS = 500;
/** Pause before a batch is sent again, growing by half from time to time. */
const FIRST_PAUSE_MS = 1_000;
/** Answers after which the standard has the same batch sent again. */
const TEMPORARY = [429, 502, 503, 504];

/** What an {@link OtelTracer} needs. */
export interface OtelTracerOptions {
  /** Where batches are posted to. */
  readonly url: URL;
  /** The proxy that they go through; default: none. */
  readonly proxy?: URL | undefined;
  readonly encoding: "protobuf" | "json";
  /** Sent with each batch; the values may be keys. */
  readonly headers: Readonly<Record<string, Secret>>;
  /** For one batch, repetitions included. */
  readonly timeoutMs: number;
  /** What every span says of this service. */
  readonly resource: SpanAttributes;
  readonly sampler: `${"" | "parentbased_"}${"always_on" | "always_off" | "traceidratio"}`;
  /** Of `traceidratio`. */
  readonly sampledShare: number;
  readonly scheduleDelayMs: number;
  readonly maxQueueSize: number;
  readonly maxBatchSize: number;
  /** How long {@link OtelTracer.stop} may wait for the collector to take what is left; default 500. */
  readonly lastSendMs?: number;
  /** The word for what made work fail, out of a small set. */
  readonly errorType: (error: unknown) => string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** Records spans and sends them in the background. Nobody waits for the collector, the exit half a second at most. */
export class OtelTracer implements Tracer {
  readonly #active = new AsyncLocalStorage<ActiveSpan | undefined>();
  readonly #exporter: Exporter;
  readonly #queue: BoundedQueue;
  readonly #provider: TracerProvider;
  readonly #options: OtelTracerOptions;
  #stopping: Promise<void> | undefined;

  constructor(options: OtelTracerOptions) {
    const { resource, maxQueueSize, maxBatchSize, scheduleDelayMs, timeoutMs } = options;
    this.#options = options;
    this.#exporter = new Exporter(options);
    this.#queue = new BoundedQueue(this.#exporter, {
      maxQueueSize,
      maxExportBatchSize: Math.min(maxBatchSize, maxQueueSize),
      scheduledDelayMillis: scheduleDelayMs,
      exportTimeoutMillis: timeoutMs + 1_000, // never before the exporter's own
    });
    this.#provider = new TracerProvider({
      resource: defaultResource().merge(resourceFromAttributes(resource)),
      sampler: createSampler(options),
      spanProcessors: [this.#queue],
    });
  }

  async span<T>(spec: SpanSpec, work: (span: Span) => Promise<T>): Promise<T> {
    const parent = spec.isRoot ? undefined : this.#active.getStore();
    const span = new ActiveSpan(() => this.#start(spec, parent?.context ?? ROOT_CONTEXT));
    if (!spec.isLazy) span.begin();
    try {
      return await this.#active.run(span, () => work(span));
    } catch (error) {
      span.fail(this.#options.errorType(error));
      throw error;
    } finally {
      // The queue sets a timer: what that does later is within no span.
      this.#active.run(undefined, () => span.end());
    }
  }

  #start({ name, kind, attributes }: SpanSpec, parent: Context): SdkSpan {
    const tracer = this.#provider.getTracer("mutt-remediation", this.#options.version);
    return tracer.startSpan(
      name,
      { kind: kind === "client" ? SpanKind.CLIENT : SpanKind.INTERNAL, attributes },
      parent,
    );
  }

  current(): SpanIds | undefined {
    return this.#active.getStore()?.ids();
  }

  dropped(reason: SpanDropReason): number {
    return reason === "queue_full" ? this.#queue.dropped : this.#exporter.dropped;
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { clock, lastSendMs = LAST_SEND_MS } = this.#options;
    const done = new AbortController();
    this.#exporter.finish();
    // Where the last attempt failed there is nothing to hope for.
    const late = clock.sleep(this.#exporter.isFailing() ? 0 : lastSendMs, done.signal)
      .then(() => this.#exporter.giveUp());
    await this.#provider.shutdown().catch(() => {}); // what failed is counted and told
    await this.#exporter.shutdown();
    done.abort();
    await late;
  }
}

function createSampler({ sampler, sampledShare }: OtelTracerOptions): Sampler {
  const root = sampler.endsWith("always_on")
    ? new AlwaysOnSampler()
    : sampler.endsWith("always_off")
    ? new AlwaysOffSampler()
    : new TraceIdRatioBasedSampler(sampledShare);
  return sampler.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}

class ActiveSpan implements Span {
  readonly #start: () => SdkSpan;
  #span: SdkSpan | undefined;
  #hasEnded = false;

  constructor(start: () => SdkSpan) {
    this.#start = start;
  }

  begin(): void {
    if (!this.#hasEnded) this.#span ??= this.#start();
  }

  set(attributes: SpanAttributes): void {
    this.#span?.setAttributes(attributes);
  }

  fail(errorType: string): void {
    this.#span?.setAttribute("error.type", errorType).setStatus({ code: SpanStatusCode.ERROR });
  }

  traceparent(): string | undefined {
    if (this.#span === undefined) return undefined;
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  }

  end(): void {
    this.#hasEnded = true;
    this.#span?.end();
  }

  /** What belongs inside of it is there only while it lasts: what was begun within and goes on is on its own. */
  get context(): Context | undefined {
    return this.#span && !this.#hasEnded ? trace.setSpan(ROOT_CONTEXT, this.#span) : undefined;
  }

  ids(): SpanIds | undefined {
    return this.#span?.isRecording() ? this.#span.spanContext() : undefined;
  }
}

type QueueOptions = Omit<ConstructorParameters<typeof BatchSpanProcessor>[0], "exporter"> & { maxQueueSize: number };

/** The SDK's queue drops without counting, so no more than it takes is let in. */
class BoundedQueue implements SpanProcessor {
  readonly #batches: BatchSpanProcessor;
  readonly #maxQueueSize: number;
  #waiting = 0;
  dropped = 0;

  constructor(exporter: SpanExporter, options: QueueOptions) {
    this.#maxQueueSize = options.maxQueueSize;
    this.#batches = new BatchSpanProcessor({
      ...options,
      exporter: {
        export: (spans, done) => {
          this.#waiting -= spans.length;
          exporter.export(spans, done);
        },
        shutdown: () => Promise.resolve(),
      },
    });
  }

  onStart(): void {}

  onEnd(span: Parameters<BatchSpanProcessor["onEnd"]>[0]): void {
    if (this.#waiting >= this.#maxQueueSize) {
      this.dropped++;
      return;
    }
    this.#waiting++;
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#batches.shutdown();
  }
}

/** Posts batches. Tells the first failure of a row and its end, never each. */
class Exporter implements SpanExporter {
  readonly #options: OtelTracerOptions;
  readonly #stop = new AbortController();
  readonly #sending = new Set<Promise<void>>();
  #failingSinceMs: number | undefined;
  #hasFailed = false;
  #isFinishing = false;
  dropped = 0;

  constructor(options: OtelTracerOptions) {
    this.#options = options;
  }

  /** Whether the last attempt, of a batch that may yet be sent again, has failed. */
  isFailing(): boolean {
    return this.#hasFailed;
  }

  /** From now on each batch has one attempt. */
  finish(): void {
    this.#isFinishing = true;
  }

  /** Breaks off what is being sent, and sends nothing more. */
  giveUp(): void {
    this.#stop.abort();
  }

  export(spans: ReadableSpan[], done: (result: { code: number }) => void): void {
    // Whatever goes wrong with spans, the service goes on.
    const sending = this.#send(spans).catch(() => false).then((isSent) => {
      this.#sending.delete(sending);
      done({ code: isSent ? 0 : 1 });
    });
    this.#sending.add(sending);
  }

  /** Resolves when nothing is being sent any more. */
  async shutdown(): Promise<void> {
    await Promise.all(this.#sending);
  }

  async #send(spans: ReadableSpan[]): Promise<boolean> {
    const outcome = await this.#post(spans);
    const isSent = isTaken(outcome);
    if (isSent) this.#tellSuccess();
    else {
      this.dropped += spans.length;
      this.#tellFailure(outcome);
    }
    return isSent;
  }

  async #post(spans: ReadableSpan[]): Promise<FetchOutcome> {
    const { url, proxy, encoding, timeoutMs, clock, headers } = this.#options;
    const serializer = encoding === "json" ? JsonTraceSerializer : ProtobufTraceSerializer;
    const body = new Uint8Array(serializer.serializeRequest(spans) ?? []);
    const endMs = clock.monotonicMs() + timeoutMs;
    const { signal } = this.#stop;
    const revealed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()]));
    for (let pauseMs = FIRST_PAUSE_MS;; pauseMs *= 1.5) {
      const outcome = await fetchStatus({
        ...{ url, proxy, method: "POST", body, clock, signal },
        headers: { ...revealed, "content-type": encoding === "json" ? "application/json" : "application/x-protobuf" },
        timeoutMs: Math.max(0, endMs - clock.monotonicMs()),
      });
      this.#hasFailed = !isTaken(outcome);
      if (signal.aborted && outcome.kind !== "answered") return { kind: "timeout" };
      if (!isTemporary(outcome) || this.#isFinishing || clock.monotonicMs() + pauseMs >= endMs) return outcome;
      await clock.sleep(pauseMs, signal);
    }
  }

  #tellFailure(outcome: FetchOutcome): void {
    const { url, clock, log } = this.#options;
    if (this.#failingSinceMs !== undefined) return;
    this.#failingSinceMs = clock.monotonicMs();
    const why = outcome.kind === "answered" ? `answered ${outcome.status}` : EXPLAINED[outcome.kind];
    log.warning(
      "spans_not_sent",
      `Remediation: ${url.host} does not take the spans (${why}); they are dropped and counted, nothing else waits for it`,
      { host: url.host, reason: outcome.kind, ...(outcome.kind === "answered" ? { status: outcome.status } : {}) },
    );
  }

  #tellSuccess(): void {
    const { url, clock, log } = this.#options;
    if (this.#failingSinceMs === undefined) return;
    const seconds = Math.round((clock.monotonicMs() - this.#failingSinceMs) / 1_000);
    this.#failingSinceMs = undefined;
    log.info(
      "spans_sent",
      `Remediation: ${url.host} takes the spans again after ${seconds} s; ${this.dropped} were lost`,
      {
        host: url.host,
        outage_seconds: seconds,
        dropped: this.dropped,
      },
    );
  }
}

const EXPLAINED: Readonly<Record<Exclude<FetchOutcome["kind"], "answered">, string>> = {
  timeout: "no answer in time",
  dns: "its name, or its proxy's, is not known to DNS",
  refused: "nothing listens there, or where its proxy should be",
  proxy: "its proxy does not connect to it",
  tls: "its certificate is not trusted, or it speaks no TLS there",
  unreachable: "it cannot be reached, or speaks no HTTP there; OTLP/HTTP is on port 4318",
};

function isTaken(outcome: FetchOutcome): boolean {
  return outcome.kind === "answered" && outcome.status >= 200 && outcome.status < 300;
}

function isTemporary(outcome: FetchOutcome): boolean {
  return outcome.kind === "answered" ? TEMPORARY.includes(outcome.status) : outcome.kind !== "timeout";
}
