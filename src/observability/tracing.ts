/** The seam for spans around a turn, a commit and a probe. Tracing itself is not built in yet. */

/** What a span is told about: flat values, never a payload. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** Runs work inside a span. */
export interface Tracer {
  /** Calls `work` and gives its result or failure back unchanged. */
  span<T>(name: string, attributes: SpanAttributes, work: () => Promise<T>): Promise<T>;
}

/** Records nothing. */
export const NO_TRACER: Tracer = { span: (_name, _attributes, work) => work() };
