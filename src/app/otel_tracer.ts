/**
 * Spans by OpenTelemetry's SDK. Loaded only if tracing is on, by `tracing.ts`.
 *
 * Ids, sampling, queue, batches, encodings and the counts of dropped spans are the SDK's. Only the HTTP exchange is ours
 * (`otlp_transport.ts`). Every option is passed: the classes in use read no environment.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Context,
  createNoopMeter,
  type MeterProvider,
  ROOT_CONTEXT,
  type Span as SdkSpan,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { createOtlpNetworkExportDelegate, ExporterMetrics, OTLPExporterBase } from "@opentelemetry/otlp-exporter-base";
import {
  JsonTraceSerializer,
  ProtobufTraceSerializer,
  TraceExporterMetricsHelper,
} from "@opentelemetry/otlp-transformer";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  type ReadableSpan,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Span, SpanAttributes, SpanDropReason, SpanIds, SpanSpec, Tracer } from "../observability/tracing.ts";
import { OtlpTransport, type OtlpTransportOptions } from "./otlp_transport.ts";

/** Default of `lastSendMs`: a healthy collector takes a batch in a fraction of it. */
const LAST_SEND_MS = 500;

/** What an {@link OtelTracer} needs. */
export interface OtelTracerOptions extends OtlpTransportOptions {
  /** For one batch, retries included. */
  readonly timeoutMs: number;
  /** Attributes of this service, on every span. */
  readonly resource: SpanAttributes;
  /** Share of the traces that are recorded, 0 to 1. */
  readonly sampledShare: number;
  readonly scheduleDelayMs: number;
  readonly maxQueueSize: number;
  readonly maxBatchSize: number;
  /** How long {@link OtelTracer.stop} waits for the collector to take the rest; default 500. */
  readonly lastSendMs?: number;
  /** Names what made work fail, out of a small set. */
  readonly errorType: (error: unknown) => string;
  readonly version: string;
}

/** Records spans and sends them in the background. Nothing waits for the collector; the exit waits half a second at most. */
export class OtelTracer implements Tracer {
  readonly #active = new AsyncLocalStorage<ActiveSpan | undefined>();
  readonly #dropped: Record<SpanDropReason, number> = { queue_full: 0, not_sent: 0 };
  readonly #transport: OtlpTransport;
  readonly #exporter: OTLPExporterBase<ReadableSpan[]>;
  readonly #provider: TracerProvider;
  readonly #options: OtelTracerOptions;
  #stopping: Promise<void> | undefined;

  constructor(options: OtelTracerOptions) {
    this.#options = options;
    this.#transport = new OtlpTransport(options, () => this.#dropped.not_sent);
    this.#exporter = createExporter(options, this.#transport);
    const processor = new BatchSpanProcessor({
      exporter: this.#exporter,
      maxQueueSize: options.maxQueueSize,
      maxExportBatchSize: options.maxBatchSize,
      scheduledDelayMillis: options.scheduleDelayMs,
      exportTimeoutMillis: options.timeoutMs + 1_000, // later than the transport's own
      selfObsMeterProvider: countDrops(this.#dropped),
    });
    this.#provider = new TracerProvider({
      resource: defaultResource().merge(resourceFromAttributes(options.resource)),
      sampler: new TraceIdRatioBasedSampler(options.sampledShare), // by the trace's id, so whole traces
      spanProcessors: [processor],
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
      // The processor sets a timer here, which must not run within a span.
      this.#active.run(undefined, () => span.end());
    }
  }

  #start({ name, kind, attributes }: SpanSpec, parent: Context): SdkSpan {
    const tracer = this.#provider.getTracer("mutt-remediation", this.#options.version);
    const sdkKind = kind === "client" ? SpanKind.CLIENT : SpanKind.INTERNAL;
    return tracer.startSpan(name, { kind: sdkKind, attributes }, parent);
  }

  current(): SpanIds | undefined {
    return this.#active.getStore()?.ids();
  }

  dropped(reason: SpanDropReason): number {
    return this.#dropped[reason];
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const { clock, lastSendMs = LAST_SEND_MS } = this.#options, done = new AbortController();
    this.#transport.finish();
    // After a failed batch, the provider does not wait for the others: the exporter does. Failures are counted and logged.
    const flushed = this.#provider.shutdown().catch(() => {}).then(() => this.#exporter.shutdown());
    // If the last batch failed, there is no point in waiting.
    await Promise.race([flushed, clock.sleep(this.#transport.isDown() ? 0 : lastSendMs, done.signal)]);
    done.abort();
    this.#transport.shutdown();
    await flushed; // at once: what was aborted is counted as not sent
  }
}

function createExporter(
  { encoding, timeoutMs }: OtelTracerOptions,
  transport: OtlpTransport,
): OTLPExporterBase<ReadableSpan[]> {
  const metrics = new ExporterMetrics<ReadableSpan[]>({
    ...{ componentType: "otlp_http_span_exporter", metricsHelper: TraceExporterMetricsHelper },
    ...{ url: undefined, meterProvider: undefined, responseAttributesFromError: () => ({}) },
  });
  // The queue bounds what is sent at once.
  const shared = { timeoutMillis: timeoutMs, concurrencyLimit: Infinity, compression: "none" } as const;
  const serializer = encoding === "json" ? JsonTraceSerializer : ProtobufTraceSerializer;
  return new OTLPExporterBase(createOtlpNetworkExportDelegate(shared, serializer, metrics, transport));
}

/** The batch processor reports each span that it is done with to one counter, with `error.type` if it was dropped. */
function countDrops(dropped: Record<SpanDropReason, number>): MeterProvider {
  const meter = createNoopMeter();
  meter.createCounter = () => ({
    add(count, attributes) {
      const error = attributes?.["error.type"];
      if (error !== undefined) dropped[error === "queue_full" ? error : "not_sent"] += count;
    },
  });
  return { getMeter: () => meter };
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

  /** Parent of the spans inside; `undefined` after the end: work that goes on then is on its own. */
  get context(): Context | undefined {
    return this.#span && !this.#hasEnded ? trace.setSpan(ROOT_CONTEXT, this.#span) : undefined;
  }

  ids(): SpanIds | undefined {
    return this.#span?.isRecording() ? this.#span.spanContext() : undefined;
  }
}
