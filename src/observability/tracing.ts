/** What the service asks of tracing, and the tracer that is off. The one that is on is `src/app/otel_tracer.ts`. */

/** What a span is told about: flat values, never a payload. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** A span to be. `spans.ts` has those of this service. */
export interface SpanSpec {
  readonly name: string;
  readonly kind: "internal" | "client";
  readonly attributes: SpanAttributes;
  /** Begins a trace of its own, whatever span it is asked for in. */
  readonly isRoot?: boolean;
  /** Waits for {@link Span.begin}: without it there was nothing to tell, and there is no span. */
  readonly isLazy?: boolean;
}

/** A span while its work runs. Nothing here throws or waits. */
export interface Span {
  /** Begins a lazy span; does nothing to one that has begun. */
  begin(): void;
  /** Adds attributes; those of one that has not begun are lost. */
  set(attributes: SpanAttributes): void;
  /** Marks it as failed, with a word out of a small set. */
  fail(errorType: string): void;
  /** The W3C header's value for whoever is called within it; `undefined` where tracing is off. */
  traceparent(): string | undefined;
}

/** What a log line and a span have in common: 32 and 16 hexadecimal digits. */
export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
}

/** Why a span that had ended was not delivered: the queue was full, or the collector did not take it. */
export const SPAN_DROP_REASONS = ["queue_full", "not_sent"] as const;
/** One of {@link SPAN_DROP_REASONS}. */
export type SpanDropReason = (typeof SPAN_DROP_REASONS)[number];

/** Runs work inside spans. */
export interface Tracer {
  /** Calls `work` and gives its result or failure back unchanged; a failure marks the span. What it asks for is inside too. */
  span<T>(spec: SpanSpec, work: (span: Span) => Promise<T>): Promise<T>;
  /** The span that the caller runs in, where it is recorded. */
  current(): SpanIds | undefined;
  /** Spans dropped so far. */
  dropped(reason: SpanDropReason): number;
  /** Sends what is left, for a moment at most. Never rejects; safe to call twice. */
  stop(): Promise<void>;
}

const NO_SPAN: Span = { begin() {}, set() {}, fail() {}, traceparent: () => undefined };

/** Records nothing, and costs nothing but a call. */
export const NO_TRACER: Tracer = {
  span: (_spec, work) => work(NO_SPAN),
  current: () => undefined,
  dropped: () => 0,
  stop: () => Promise.resolve(),
};
