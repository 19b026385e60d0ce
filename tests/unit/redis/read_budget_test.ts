import assert from "node:assert/strict";
import { ReadBudget, type Share } from "../../../src/redis/read_budget.ts";

/** Takes a share and says when it is there. */
function take(budget: ReadBudget, bytes: number): { share: () => Share | undefined } {
  let share: Share | undefined;
  void budget.take(bytes).then((taken) => share = taken);
  return { share: () => share };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("ReadBudget: holds no more than its bytes at once, first come, first served", async () => {
  const budget = new ReadBudget(10);
  const shares = [6, 6, 1, 6].map((bytes) => take(budget, bytes));
  const granted = () => shares.map(({ share }) => share() !== undefined);
  await settled();
  assert.deepEqual(granted(), [true, false, false, false], "a small one does not pass a large one by");
  shares[0]!.share()!.shrink(4);
  await settled();
  assert.deepEqual([granted(), budget.held], [[true, true, false, false], 10]);
  shares[0]!.share()!.release();
  await settled();
  assert.deepEqual([granted(), budget.held], [[true, true, true, false], 7]);
  for (const { share } of shares) share()?.release();
  await settled();
  assert.deepEqual([granted(), budget.held], [[true, true, true, true], 6]);
});

Deno.test("ReadBudget: grants more than there is to one alone, so that nobody waits for ever", async () => {
  const budget = new ReadBudget(10);
  const [small, huge, next] = [1, 99, 1].map((bytes) => take(budget, bytes));
  await settled();
  assert.deepEqual([huge!.share(), next!.share()], [undefined, undefined]);
  small!.share()!.release();
  await settled();
  assert.deepEqual([budget.held, next!.share()], [99, undefined]);
  huge!.share()!.release();
  await settled();
  assert.equal(budget.held, 1);
});

Deno.test("ReadBudget: gives nothing back twice, never grows a share, and takes nothing at once while others wait", async () => {
  const budget = new ReadBudget(10);
  const share = budget.takeNow(8);
  assert.equal(budget.takeNow(3), null);
  share!.shrink(9);
  assert.equal(budget.held, 8);
  const waiting = take(budget, 3);
  assert.equal(budget.takeNow(1), null);
  share!.release();
  share!.release();
  await settled();
  assert.deepEqual([budget.held, waiting.share() !== undefined], [3, true]);
});
