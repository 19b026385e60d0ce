import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { createRoutes } from "../../../src/api/routes.ts";
import { OPERATION_ROLES } from "../../../src/operations/operation.ts";
import { OPERATIONS } from "../../../src/operations/registry.ts";

Deno.test("OPERATIONS: each name is there once, in lower case", () => {
  const names = OPERATIONS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[a-z]+(_[a-z]+)*$/);
});

Deno.test("OPERATIONS: each file of an operation is listed", () => {
  const folder = new URL("../../../src/operations/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].filter(({ name }) =>
    /satisfies (Stream)?Operation</.test(Deno.readTextFileSync(new URL(name, folder)))
  );
  assert.deepEqual(files.map(({ name }) => name).sort(), OPERATIONS.map(({ name }) => `${name}.ts`).sort());
});

for (const { name, role, input, output } of OPERATIONS) {
  Deno.test(`OPERATIONS: ${name} has schemas that a strict validator takes, and a role`, () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    for (const schema of [input, output]) assert.ok(ajv.compile(schema));
    assert.ok(OPERATION_ROLES.includes(role));
  });
}

Deno.test("OPERATIONS: each that runs in the service has a route of its own, and writes need a role above viewer", () => {
  const routes = createRoutes(OPERATIONS);
  const served = OPERATIONS.filter(({ runsIn }) => runsIn === "service").map(({ name }) => name);
  assert.deepEqual(routes.map(({ operation }) => operation.name).sort(), served.sort());
  for (const { isWrite, operation } of routes) {
    assert.ok(!isWrite || operation.role !== "viewer", `${operation.name} changes something`);
  }
});

Deno.test("OPERATIONS: what a path names is text, a number, or one of some texts", () => {
  for (const { path, members, input } of createRoutes(OPERATIONS)) {
    for (const name of members.path) {
      const schema = (input.properties as Record<string, { type?: string; enum?: unknown[] }>)[name]!;
      assert.ok(["string", "integer"].includes(schema.type ?? typeof schema.enum?.[0]), `${path}: ${name}`);
    }
  }
});
