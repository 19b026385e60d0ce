/** Defines the tracing interface and the disabled tracer. `src/app/otel_tracer.ts` has the real tracer. */

/** Attributes of a span: flat values, never a payload. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** Specification of a span. `spans.ts` defines the service's spans. */
export interface SpanSpec {
  readonly name: string;
  readonly kind: "internal" | "client";
  readonly attributes: SpanAttributes;
  /** Starts a new trace, whatever the current span. */
  readonly isRoot?: boolean;
  /** Starts at {@link Span.begin}. Without that call, no span is recorded. */
  readonly isLazy?: boolean;
}

/** A running span. Its methods do not throw or wait. */
export interface Span {
  /** Starts a lazy span. Does nothing if it has started. */
  begin(): void;
  /** Adds attributes. Ignored if the span has not started. */
  set(attributes: SpanAttributes): void;
  /** Marks the span as failed, with a word from a small set. */
  fail(errorType: string): void;
  /** Returns the W3C `traceparent` header for calls inside the span; `undefined` if tracing is disabled. */
  traceparent(): string | undefined;
}

/** Ids that link a log line to a span: 32 and 16 hexadecimal digits. */
export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
}

/** Reasons to drop an ended span: the queue was full, or sending failed. */
export const SPAN_DROP_REASONS = ["queue_full", "not_sent"] as const;
/** One of {@link SPAN_DROP_REASONS}. */
export type SpanDropReason = (typeof SPAN_DROP_REASONS)[number];

/** Runs work inside spans. */
export interface Tracer {
  /**
   * Runs `work` in a span and returns its result. A failure marks the span and is rethrown. Spans started in `work` are
   * its children.
   */
  span<T>(spec: SpanSpec, work: (span: Span) => Promise<T>): Promise<T>;
  /** Returns the ids of the current span, if it is recorded. */
  current(): SpanIds | undefined;
  /** Returns the number of spans dropped so far. */
  dropped(reason: SpanDropReason): number;
  /** Sends the remaining spans within a short time limit. Never rejects. Safe to call twice. */
  stop(): Promise<void>;
}

const NO_SPAN: Span = { begin() {}, set() {}, fail() {}, traceparent: () => undefined };

/** Tracer that records nothing, at the cost of one call. */
export const NO_TRACER: Tracer = {
  span: (_spec, work) => work(NO_SPAN),
  current: () => undefined,
  dropped: () => 0,
  stop: () => Promise.resolve(),
};
