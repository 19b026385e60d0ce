/** The description is valid OpenAPI 3.1, and the API does what it says whatever is sent (MUTT_TEST_FULL: for longer). */
import { Validator } from "@seriousme/openapi-schema-validator";
import fc from "fast-check";
import assert from "node:assert/strict";
import { describeApi } from "../../../src/api/openapi.ts";
import { createRoutes } from "../../../src/api/routes.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";
import { createOperations } from "../../../testkit/api_operations.ts";
import { startApi, TEST_KEYS } from "../../../testkit/api.ts";
import { shareRedis } from "../../../testkit/redis.ts";

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
    "abc",
    "",
    "..",
    "%",
    "%00",
    "__proto__",
    "constructor",
    "1",
    "-1",
    "true",
    "null",
    "a".repeat(5_000),
  ),
);

Deno.test("fuzz: whatever is sent to any path, nothing fails but by a problem that says why", async () => {
  const { operations } = createOperations();
  await using api = startApi(server(), { operations });
  const { paths } = (await api.ask("GET", "/api/v1/openapi.json")).json as {
    // deno-lint-ignore no-explicit-any
    paths: Record<string, Record<string, any>>;
  };
  const places = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, operationId }]) => ({
      ...{ path, method: method.toUpperCase(), parameters, requestBody, operationId },
    }))
  ).filter(({ operationId }) => operationId !== "fail" && operationId !== "events");
  const request = fc.record({
    place: fc.constantFrom(...places),
    segments: fc.array(words, { minLength: 2, maxLength: 2 }),
    query: fc.array(
      fc.tuple(fc.oneof(words, fc.constantFrom("limit", "from", "ids", "dry", "first", "version")), words),
      {
        maxLength: 4,
      },
    ),
    body: fc.option(fc.oneof(
      fc.json(),
      words,
      fc.dictionary(fc.oneof(words, fc.constantFrom("reason", "minutes", "version")), fc.jsonValue()).map((one) =>
        JSON.stringify(one)
      ),
    )),
    headers: fc.dictionary(
      fc.constantFrom("idempotency-key", "if-match", "x-correlation-id", "last-event-id", "origin", "content-type"),
      fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, "").trim()),
    ),
  });
  const seed = Deno.env.get("FC_SEED");
  await fc.assert(
    fc.asyncProperty(request, async ({ place, segments, query, body, headers }) => {
      let at = 0;
      const path = place.path.replaceAll(
        /\{\w+\}/g,
        () => encodeURIComponent((segments[at++] ?? "").toWellFormed()) || "x",
      );
      const search = new URLSearchParams(query.map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]));
      const hasBody = body !== null && place.method !== "GET" && place.method !== "HEAD";
      const { status, json, text, headers: got } = await api.ask(place.method, `/api/v1${path}?${search}`, {
        ...{ key: TEST_KEYS.admin, headers },
        ...(hasBody ? { body: body.toWellFormed() } : {}),
      });
      assert.ok(status < 500, `${status} ${text}`);
      if (status < 400) return;
      assert.match(got.get("content-type") ?? "", /^application\/problem\+json/);
      assert.equal(json.status, status);
      assert.ok(json.detail.length > 0);
    }),
    { numRuns: Deno.env.get("MUTT_TEST_FULL") ? 20_000 : 300, ...(seed ? { seed: Number(seed) } : {}) },
  );
  assert.deepEqual(api.lines.filter(({ level }) => level === "ERROR"), []);
});
