import assert from "node:assert/strict";
import { DroppingWriter } from "../../../src/runtime/dropping_writer.ts";

/** A reader that takes bytes when it is told to, a few at a time. */
function setup(
  { maxWaitingBytes = 30, bytesAtOnce = Infinity }: { maxWaitingBytes?: number; bytesAtOnce?: number } = {},
) {
  const taken: string[] = [];
  const told: number[] = [];
  let gate = Promise.withResolvers<void>();
  const writer = new DroppingWriter({
    maxWaitingBytes,
    write: async (bytes) => {
      await gate.promise;
      const part = bytes.subarray(0, bytesAtOnce);
      taken.push(new TextDecoder().decode(part));
      return part.length;
    },
  });
  writer.onResumed((dropped) => told.push(dropped));
  return {
    ...{ writer, told, read: () => taken.join("") },
    open: () => gate.resolve(),
    fail: () => gate.reject(new Error("no space")),
    close: () => void (gate = Promise.withResolvers()),
  };
}

Deno.test("DroppingWriter: writes texts in order and whole, however few bytes are taken at once", async () => {
  const { writer, open, read, told } = setup({ bytesAtOnce: 2 });
  open();
  for (const text of ["one\n", "zwölf\n", "three\n"]) writer.write(text);
  await writer.flush();
  assert.equal(read(), "one\nzwölf\nthree\n");
  assert.deepEqual([writer.dropped, told], [0, []]);
});

Deno.test("DroppingWriter: never waits for a reader that takes nothing; drops, counts, and tells when it reads again", async () => {
  const { writer, open, close, read, told } = setup();
  for (let i = 0; i < 10; i++) writer.write(`line ${i}...\n`);
  assert.equal(writer.dropped, 7, "three of ten bytes fit");
  open();
  await writer.flush();
  assert.equal(read(), "line 0...\nline 1...\nline 2...\n");
  assert.deepEqual(told, [7]);
  close();
  for (let i = 0; i < 4; i++) writer.write(`more ${i}...\n`);
  open();
  await writer.flush();
  assert.deepEqual([writer.dropped, told], [8, [7, 1]]);
});

Deno.test("DroppingWriter: drops what cannot be written, and goes on", async () => {
  const { writer, open, close, fail, read, told } = setup();
  writer.write("lost\n");
  fail();
  await writer.flush();
  assert.equal(writer.dropped, 1);
  close();
  open();
  writer.write("kept\n");
  await writer.flush();
  assert.deepEqual([read(), told], ["kept\n", [1]]);
});
