/** The description is valid OpenAPI 3.1, and the API does what it says whatever is sent (MUTT_TEST_FULL: for longer). */
import { Validator } from "@seriousme/openapi-schema-validator";
import fc from "fast-check";
import assert from "node:assert/strict";
import { describeApi } from "../../../src/api/openapi.ts";
import { createRoutes } from "../../../src/api/routes.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";
import type { JsonSchema } from "../../../src/operations/operation.ts";
import { createOperations } from "../../../testkit/api_operations.ts";
import { DLQ, eventTexts } from "../../../testkit/engine.ts";
import { startApi, TEST_KEYS, type TestApi } from "../../../testkit/api.ts";
import { shareRedis } from "../../../testkit/redis.ts";
import { startServed } from "../../../testkit/served.ts";

const server = shareRedis();

Deno.test("openapi.json: is valid for the service's operations and the tests' own, and names each once", async () => {
  for (const operations of [OPERATIONS, createOperations().operations]) {
    const routes = createRoutes(operations);
    // deno-lint-ignore no-explicit-any
    const document = describeApi(routes, { version: "1.2.3" }) as any;
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    assert.ok(valid, JSON.stringify(errors));
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path as Record<string, { operationId: string }>).map(({ operationId }) => operationId)
    );
    assert.deepEqual(ids.toSorted(), ["events", ...routes.map(({ operation }) => operation.name)].toSorted());
    assert.equal(new Set(ids).size, ids.length);
  }
});

Deno.test("routes: every operation's path fits its input, and no two are the same", () => {
  const [operation] = createOperations().operations;
  assert.throws(() => createRoutes([operation!, { ...operation!, name: "again" }]), /is taken/);
  assert.throws(
    () => createRoutes([{ ...operation!, http: { method: "GET", path: "/{nothing}" } }]),
    /no input member/,
  );
});

const words = fc.oneof(
  fc.string({ unit: "binary", maxLength: 30 }),
  fc.constantFrom(
    ...["alerter", "dlq", "dead", "target", `m_${"0".repeat(16)}`, "oldest", "reason:poison age:>1h", "1.m_0123"],
    ...["abc", "", "..", "%", "%00", "__proto__", "constructor", "1", "-1", "true", "null", "a".repeat(5_000)],
  ),
);

interface Place {
  readonly path: string;
  readonly method: string;
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly schema: JsonSchema }[];
  readonly properties: Readonly<Record<string, JsonSchema>>;
}

/** Every place that the description names, except those that never end. */
async function placesOf({ ask }: Pick<TestApi, "ask">): Promise<Place[]> {
  const { paths } = (await ask("GET", "/api/v1/openapi.json")).json as {
    // deno-lint-ignore no-explicit-any
    paths: Record<string, Record<string, any>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, operationId }]) => ({
      ...{ path, method: method.toUpperCase(), parameters, operationId },
      properties: requestBody?.content["application/json"]?.schema.properties ?? {},
    }))
  ).filter(({ operationId }) => operationId !== "events");
}

/** A value that may fit a schema. */
function valueOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { type, enum: choices, minimum = 0, maximum = 9, items, anyOf } = schema as Record<string, never>;
  if (choices) return fc.constantFrom(...choices as unknown[]);
  if (anyOf) return fc.oneof(...(anyOf as JsonSchema[]).map(valueOf));
  if (type === "integer" || type === "number") return fc.integer({ min: minimum - 1, max: maximum + 1 });
  if (type === "boolean") return fc.boolean();
  if (type === "array") return fc.array(valueOf(items ?? {}), { maxLength: 3 });
  return words;
}

/** A request to a place: its members with values that may fit, others with anything. */
function requestTo(place: Place) {
  const named = (part: string) => place.parameters.filter((one) => one.in === part);
  const record = (schemas: readonly (readonly [string, JsonSchema])[]) =>
    fc.record(
      Object.fromEntries(schemas.map(([name, schema]) => [name, fc.oneof(valueOf(schema), words)])),
      { requiredKeys: [] },
    );
  const members = Object.entries(place.properties);
  return fc.record({
    place: fc.constant(place),
    path: fc.record(
      Object.fromEntries(named("path").map(({ name, schema }) => [name, fc.oneof(valueOf(schema), words)])),
    ),
    query: fc.oneof(
      record(named("query").map(({ name, schema }) => [name, schema])),
      fc.dictionary(words, words, { maxKeys: 3 }),
    ),
    body: fc.oneof(
      record(members).map((one) => JSON.stringify(one)),
      fc.option(fc.oneof(fc.json(), words, fc.dictionary(words, fc.jsonValue()).map((one) => JSON.stringify(one)))),
    ),
    headers: fc.dictionary(
      fc.constantFrom("idempotency-key", "if-match", "x-correlation-id", "last-event-id", "origin", "content-type"),
      fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, "").trim()),
    ),
  });
}

/** Sends requests made from the description; none may fail but by a problem that says why. */
async function fuzz(
  target: Pick<TestApi, "ask" | "lines">,
  { key, leaveOut = [] }: { key: string; leaveOut?: readonly string[] },
): Promise<Set<string>> {
  const places = (await placesOf(target)).filter(({ operationId }) => !leaveOut.includes(operationId));
  const seed = Deno.env.get("FC_SEED"), done = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.oneof(...places.map(requestTo)), async ({ place, path, query, body, headers }) => {
      const filled = place.path.replaceAll(
        /\{(\w+)\}/g,
        (_, name) => encodeURIComponent(String(path[name]).toWellFormed()) || "x",
      );
      const search = new URLSearchParams(
        Object.entries(query).flatMap(([name, value]) =>
          [value].flat().map((one) => [name.toWellFormed(), String(one).toWellFormed()])
        ),
      );
      const hasBody = body !== null && place.method !== "GET";
      const { status, json, text, headers: got } = await target.ask(place.method, `/api/v1${filled}?${search}`, {
        ...{ key, headers },
        ...(hasBody ? { body: body.toWellFormed() } : {}),
      });
      assert.ok(status < 500, `${status} ${text}`);
      if (status < 400) return void done.add(place.operationId);
      assert.match(got.get("content-type") ?? "", /^application\/problem\+json/);
      assert.equal(json.status, status);
      assert.ok(json.detail.length > 0);
    }),
    { numRuns: Deno.env.get("MUTT_TEST_FULL") ? 20_000 : 300, ...(seed ? { seed: Number(seed) } : {}) },
  );
  assert.deepEqual(target.lines.filter(({ level }) => level === "ERROR"), []);
  return done;
}

Deno.test("fuzz: whatever is sent to any path, nothing fails but by a problem that says why", async () => {
  await using api = startApi(server(), { operations: createOperations().operations });
  await fuzz(api, { key: TEST_KEYS.admin, leaveOut: ["fail"] });
});

Deno.test("fuzz: the operations of the service too, whose answers to a viewer show no secret", async () => {
  await server().client().lpush(DLQ, ...eventTexts(20));
  await using service = await startServed(server());
  assert.ok((await fuzz(service, { key: TEST_KEYS.operator })).size > 3);
});
