/** Walks and pages while the list changes at both ends: no message is seen twice, and none that stays is skipped. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { shelfKey } from "../../src/redis/keys.ts";
import { ListReader, type Page } from "../../src/redis/list_reader.ts";
import { DEAD, DLQ, TARGET } from "../../testkit/engine.ts";
import { pushOf, shareRedis } from "../../testkit/redis.ts";
import { PLAIN_POLICY } from "../../testkit/policy.ts";

const server = shareRedis({ push: pushOf(import.meta) });
const POLICY = { ...PLAIN_POLICY, push: pushOf(import.meta), dlq: DLQ, target: TARGET, dead: DEAD };
const SHELF = shelfKey(DLQ);
/** `LMOVE`, which Redis 6.0 does not have: by the commands that take and push. */
const MOVE = `local message = redis.call(ARGV[1], KEYS[1])
if message then redis.call(ARGV[2], KEYS[2], message) end`;

/** A change between two reads. `back`: messages come back to the oldest end, as an undo puts them. */
const CHANGE = fc.oneof(
  fc.record({ kind: fc.constant("push" as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ kind: fc.constant("pop" as const), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant("shelve" as const), count: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ kind: fc.constant("restore" as const), count: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ kind: fc.constant("back" as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.constant({ kind: "none" as const, count: 0 }),
);

/** Applies changes, and knows which messages there were at first and which have left. */
class ChangingList {
  readonly client = server().client();
  readonly gone = new Set<string>();
  #next = 0;

  async fill(count: number): Promise<string[]> {
    await this.client.del(DLQ, SHELF);
    const messages = Array.from({ length: count }, () => `message ${this.#next++}`);
    await server().seedList(DLQ, messages);
    return messages;
  }

  async apply({ kind, count }: { kind: string; count: number }): Promise<void> {
    const { client } = this, oldest = POLICY.push === "LPUSH" ? "R" : "L";
    const oldestList = async () => await client.llen(SHELF) > 0 ? SHELF : DLQ;
    for (let i = 0; i < count; i++) {
      if (kind === "push") await server().seedList(DLQ, [`message ${this.#next++}`]);
      // While a job sweeps, the shelf is the older part.
      if (kind === "pop") (await server().popList(await oldestList())).forEach((one) => this.gone.add(String(one)));
      if (kind === "shelve") await client.eval(MOVE, 2, DLQ, SHELF, `${oldest}POP`, "LPUSH");
      if (kind === "restore") await client.eval(MOVE, 2, SHELF, DLQ, "LPOP", `${oldest}PUSH`);
      if (kind === "back") await server().unpopList(await oldestList(), [`back ${this.#next++}`]);
    }
  }
}

/** `withRanges`: a walk reads by LRANGE too. */
function createReader({ client }: ChangingList, withRanges: boolean): ListReader {
  const openForWalk = () => ({ redis: client, release: () => {} });
  return new ListReader(client, POLICY, {
    ...{ maxMessageBytes: 1_000, rangesFrom: 0 },
    ...(withRanges ? { openForWalk } : {}),
  });
}

function assertSeen(seen: readonly string[], first: readonly string[], gone: ReadonlySet<string>): void {
  assert.equal(new Set(seen).size, seen.length, "a message was seen twice");
  const known = new Set(seen);
  assert.deepEqual(first.filter((message) => !known.has(message) && !gone.has(message)), [], "a message was skipped");
}

Deno.test("ListReader.walk: sees every message that stays once, whatever happens at both ends", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 1, max: 40 }),
      fc.array(CHANGE, { maxLength: 15 }),
      fc.boolean(),
      async (count, size, changes, withRanges) => {
        const list = new ChangingList(), reader = createReader(list, withRanges);
        const first = await list.fill(count), seen: string[] = [];
        const left = [...changes];
        for await (const { rows } of reader.walk("dlq", { bounds: { messages: size, bytes: 10_000 } })) {
          seen.push(...rows.map(({ bytes }) => String(bytes)));
          await list.apply(left.shift() ?? { kind: "none", count: 0 });
        }
        assertSeen(seen.filter((message) => message.startsWith("message")), first, list.gone);
      },
    ),
    {
      numRuns: 60,
      // Everything seen leaves, and something comes back before the walk reads on.
      examples: [[21, 10, [{ kind: "pop", count: 20 }, { kind: "back", count: 1 }], false]],
    },
  );
});

/** Applies a change before each read by the script. */
function changeBeforeReads({ client }: ChangingList, change: () => Promise<void>): void {
  const commands = client as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
  const name = POLICY.push === "LPUSH" ? "readListBuffer" : `readList${POLICY.push}Buffer`;
  const read = commands[name]!.bind(client);
  commands[name] = async (...given) => {
    await change();
    return await read(...given);
  };
}

Deno.test("ListReader.walk: sees every message that stays once, whatever happens between two of its reads", async () => {
  const none = { kind: "none" as const, count: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 1, max: 40 }),
      fc.array(CHANGE, { maxLength: 40 }),
      async (count, size, changes) => {
        const list = new ChangingList(), reader = createReader(list, false);
        const first = await list.fill(count), seen: string[] = [], left = [...changes];
        changeBeforeReads(list, () => list.apply(left.shift() ?? none));
        for await (const { rows } of reader.walk("dlq", { bounds: { messages: size, bytes: 10_000 } })) {
          seen.push(...rows.map(({ bytes }) => String(bytes)));
        }
        assertSeen(seen.filter((message) => message.startsWith("message")), first, list.gone);
      },
    ),
    {
      numRuns: 60,
      // Messages came back, so the one that was seen last is further up. While it is searched for, pops move it down past the search.
      examples: [[86, 1, [none, none, { kind: "back", count: 5 }, none, { kind: "pop", count: 5 }]]],
    },
  );
});

Deno.test("ListReader.page: cursors see every message that stays once, until the list has moved on", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 1, max: 40 }),
      fc.array(CHANGE, { maxLength: 15 }),
      fc.constantFrom("newer" as const, "older" as const),
      async (count, size, changes, direction) => {
        const list = new ChangingList(), reader = new ListReader(list.client, POLICY, { maxMessageBytes: 1_000 });
        const first = await list.fill(count), seen: string[] = [], left = [...changes];
        let from: "oldest" | "newest" | Page["newer"] = direction === "newer" ? "oldest" : "newest", hasMovedOn = false;
        // Towards newer messages, a producer could keep it going for ever.
        for (let pages = 0; from !== null && pages < 2_000; pages++) {
          const page: Page = await reader.page("dlq", { from, direction, size });
          hasMovedOn = page.movedOn;
          seen.push(...page.rows.map(({ bytes }) => String(bytes)));
          from = page[direction];
          await list.apply(left.shift() ?? { kind: "none", count: 0 });
        }
        const messages = seen.filter((message) => message.startsWith("message"));
        if (hasMovedOn) assert.equal(new Set(messages).size, messages.length);
        else assertSeen(messages, first, list.gone);
      },
    ),
    { numRuns: 60 },
  );
});
