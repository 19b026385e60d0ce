/** The description is valid OpenAPI 3.1, and the API does what it says whatever is sent (MUTT_TEST_FULL: for longer). */
import { Validator } from "@seriousme/openapi-schema-validator";
import fc from "fast-check";
import assert from "node:assert/strict";
import { describeApi } from "../../../src/api/openapi.ts";
import { createRoutes } from "../../../src/api/routes.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";
import { createOperations } from "../../../testkit/api_operations.ts";
import { DLQ, eventTexts } from "../../../testkit/engine.ts";
import { startApi, TEST_KEYS, type TestApi } from "../../../testkit/api.ts";
import { placesOf, requestTo, targetOf } from "../../../testkit/api_fuzz.ts";
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

/** Sends requests made from the description; none may fail but by a problem that says why. */
async function fuzz(
  target: Pick<TestApi, "ask" | "lines">,
  { key, leaveOut = [] }: { key: string; leaveOut?: readonly string[] },
): Promise<Set<string>> {
  const places = placesOf((await target.ask("GET", "/api/v1/openapi.json")).json)
    .filter(({ operationId }) => operationId !== "events" && !leaveOut.includes(operationId));
  const seed = Deno.env.get("FC_SEED"), done = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.oneof(...places.map((place) => requestTo(place))), async (fuzzed) => {
      const { place } = fuzzed;
      const { status, json, text, headers: got } = await target.ask(place.method, targetOf(fuzzed), {
        ...{ key, headers: fuzzed.headers },
        ...(fuzzed.body === null ? {} : { body: fuzzed.body }),
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
