import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
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
