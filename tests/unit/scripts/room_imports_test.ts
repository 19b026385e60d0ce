import assert from "node:assert/strict";
import { readRoomImports, reduceImports } from "../../../scripts/room_imports.ts";

Deno.test("reduceImports: leaves out what another import leads to, and keeps arrows up", () => {
  const imports = new Map([
    ["cli", ["app", "operations", "config"]],
    ["app", ["operations", "config"]],
    ["operations", ["config"]],
    ["config", ["runtime", "cli"]],
  ]);
  assert.deepEqual([...reduceImports(imports)], [
    ["cli", ["app"]],
    ["app", ["operations"]],
    ["operations", ["config"]],
    ["config", ["runtime", "cli"]],
  ]);
});

Deno.test("readRoomImports: finds every room of src, from high to low", () => {
  const imports = readRoomImports();
  const rooms = [...Deno.readDirSync("src")].filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  assert.deepEqual([...imports.keys()].filter((room) => room !== "main").sort(), rooms.sort());
  assert.ok(imports.get("main")!.includes("cli"));
});
