/** Requests to the API that its own description makes: they may fit, or nearly, or not at all. */
import fc from "fast-check";
import type { JsonSchema } from "../src/operations/operation.ts";

/** One operation of the description. */
export interface Place {
  /** Below `/api/v1`. */
  readonly path: string;
  readonly method: string;
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: JsonSchema }[];
  /** Members of a JSON body. */
  readonly properties: Readonly<Record<string, JsonSchema>>;
  /** Whether the body is lines of JSON. */
  readonly isUpload: boolean;
}

/** A request that has not been sent. */
export interface FuzzedRequest {
  readonly place: Place;
  readonly path: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Words that mean something to the service, and words that break parsers. */
const WORDS = [
  ...["alerter", "dlq", "dead", "target", `m_${"0".repeat(16)}`, "oldest", "reason:poison age:>1h", "1.m_0123"],
  ...["abc", "", "..", "%", "%00", "__proto__", "constructor", "1", "-1", "true", "null", "a".repeat(5_000)],
];

/** Every operation that an OpenAPI document names. */
export function placesOf(document: unknown): Place[] {
  // deno-lint-ignore no-explicit-any
  const { paths } = document as { paths: Record<string, Record<string, any>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, operationId }]) => ({
      ...{ path, method: method.toUpperCase(), parameters, operationId },
      properties: requestBody?.content["application/json"]?.schema.properties ?? {},
      isUpload: requestBody !== undefined && !Object.hasOwn(requestBody.content, "application/json"),
    }))
  );
}

/** Path and query of a request. */
export function targetOf({ place, path, query }: FuzzedRequest): string {
  const filled = place.path.replaceAll(
    /\{(\w+)\}/g,
    (_, name) => encodeURIComponent(String(path[name]).toWellFormed()) || "x",
  );
  const search = new URLSearchParams(
    Object.entries(query).flatMap(([name, value]) =>
      [value].flat().map((one) => [name.toWellFormed(), String(one).toWellFormed()])
    ),
  );
  return `/api/v1${filled}?${search}`;
}

/** Members whose schema does not say what fits. */
const FITTING: Readonly<Record<string, readonly string[]>> = {
  source: ["alerter", "alerter", "moog"],
  reason: ["a reason"],
  query: ["", "age:>1s", "NOT host:nowhere", "failures:0"],
  payload: ['{"hostname": "h", "timestamp": "2026-11-21T02:30:29Z", "message": "m"}'],
};

/** Requests to a place: its members with values that may fit, others with anything. `known`: ids that an answer has named. */
export function requestTo(place: Place, known: readonly string[] = []): fc.Arbitrary<FuzzedRequest> {
  const words = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    { weight: known.length > 0 ? 3 : 1, arbitrary: fc.constantFrom(...known.length > 0 ? known : WORDS) },
    fc.constantFrom(...WORDS),
  );
  const valueOf = (name: string, schema: JsonSchema) => {
    const fits = FITTING[name] ?? (/^(id|ids|message)$/.test(name) ? known : []);
    const value = fitting(schema, words), isList = (schema as { type?: unknown }).type === "array";
    if (fits.length === 0) return value;
    const one = fc.constantFrom(...fits);
    return fc.oneof({ weight: 4, arbitrary: isList ? fc.array(one, { minLength: 1, maxLength: 2 }) : one }, value);
  };
  const named = (part: string) =>
    place.parameters.filter((one) => one.in === part)
      .map(({ name, schema }) => [name, schema] as const);
  const members = Object.entries(place.properties);
  /** Some members, with values that fit their schema if `fits`, else with any. */
  const record = (schemas: readonly (readonly [string, JsonSchema])[], fits: boolean) =>
    fc.record(
      Object.fromEntries(schemas.map(([name, schema]) => [
        name,
        fits ? valueOf(name, schema) : fc.oneof(valueOf(name, schema), words),
      ])),
      { requiredKeys: fits ? schemas.map(([name]) => name).filter((name) => FITTING[name] !== undefined) : [] },
    );
  const lines = fc.array(fc.oneof(fc.json(), words), { maxLength: 5 }).map((all) => all.join("\n"));
  const body = place.isUpload ? lines : fc.oneof(
    { weight: 3, arbitrary: record(members, true).map((one) => JSON.stringify(one)) },
    record(members, false).map((one) => JSON.stringify(one)),
    fc.option(fc.oneof(fc.json(), words, fc.dictionary(words, fc.jsonValue()).map((one) => JSON.stringify(one)))),
  );
  const headers = fc.dictionary(
    fc.constantFrom("idempotency-key", "if-match", "x-correlation-id", "last-event-id", "origin", "content-type"),
    fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, "").trim()),
  );
  return fc.record({
    place: fc.constant(place),
    path: fc.record(
      Object.fromEntries(
        named("path").map(([name, schema]) => [
          name,
          fc.oneof({ weight: 3, arbitrary: valueOf(name, schema) }, words),
        ]),
      ),
    ),
    query: fc.oneof(
      { weight: 3, arbitrary: record(named("query"), true) },
      record(named("query"), false),
      fc.dictionary(words, words, { maxKeys: 3 }),
    ),
    body: place.method === "GET" ? fc.constant(null) : body.map((text) => text?.toWellFormed() ?? null),
    headers: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, headers)
      .map((some) => place.isUpload ? { "content-type": "application/x-ndjson", ...some } : some),
  });
}

/** A value that may fit a schema. */
function fitting(schema: JsonSchema, words: fc.Arbitrary<string>): fc.Arbitrary<unknown> {
  const { type, enum: choices, minimum = 0, maximum = 9, items, anyOf } = schema as Record<string, never>;
  if (choices) return fc.constantFrom(...choices as unknown[]);
  if (anyOf) return fc.oneof(...(anyOf as JsonSchema[]).map((one) => fitting(one, words)));
  if (type === "integer" || type === "number") return fc.integer({ min: minimum - 1, max: maximum + 1 });
  if (type === "boolean") return fc.boolean();
  if (type === "array") return fc.array(fitting(items ?? {}, words), { maxLength: 3 });
  return words;
}
