/** Operations for tests of the API: one of each kind, and one for each role. */
import Type from "typebox";
import type { Call } from "../src/api/api.ts";
import { type AnyOperation, OperationError } from "../src/operations/operation.ts";
import { StoreError } from "../src/redis/errors.ts";

/** What the operations did, and counters to make them fail. */
export interface Deeds {
  /** Names and inputs of the writes that ran. */
  readonly done: { readonly name: string; readonly actor: string; readonly input: unknown }[];
  /** What a stream yields before it waits for the signal. */
  readonly items: unknown[];
  /** Whether a stream goes on until its client leaves. */
  isEndless: boolean;
  /** Streams whose signal has aborted. */
  left: number;
  /** The version that `renew` compares. */
  version: string;
}

/** Creates the operations. */
export function createOperations(): { operations: readonly AnyOperation[]; deeds: Deeds } {
  const deeds: Deeds = { done: [], items: [{ id: 1 }, { id: 2 }], version: "v1", isEndless: false, left: 0 };
  const note = (name: string, { actor }: Call, input: unknown) => {
    deeds.done.push({ name, actor: actor.name, input });
    return { done: deeds.done.length };
  };
  const output = Type.Object({ done: Type.Integer() }, { additionalProperties: false });
  const source = Type.String({ pattern: "^[a-z]{1,16}$", description: "Name of a source." });
  const closed = { additionalProperties: false };
  const operations: readonly AnyOperation[] = [
    {
      ...{ name: "list_things", summary: "Lists things", runsIn: "service", role: "viewer" },
      input: Type.Object({
        source,
        limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
        from: Type.Union([Type.Literal("oldest"), Type.Literal("newest")], { default: "oldest" }),
        ids: Type.Optional(Type.Array(Type.String({ maxLength: 20 }), { maxItems: 3 })),
        dry: Type.Optional(Type.Boolean()),
      }, closed),
      output: Type.Object({ input: Type.Any() }),
      http: { method: "GET", path: "/sources/{source}/things" },
      run: (_: Call, input: unknown) => ({ input }),
    },
    {
      ...{ name: "pause", summary: "Pauses a source", runsIn: "service", role: "operator" },
      input: Type.Object({
        source,
        reason: Type.String({ minLength: 1, maxLength: 40 }),
        minutes: Type.Integer({ minimum: 1, maximum: 600, default: 60 }),
      }, closed),
      output,
      http: { method: "POST", path: "/sources/{source}/pause", status: 202 },
      run: (call: Call, input: unknown) => note("pause", call, input),
    },
    {
      ...{ name: "drop", summary: "Drops a thing", runsIn: "service", role: "admin" },
      input: Type.Object({ source, id: Type.String({ maxLength: 40 }) }, closed),
      output,
      http: { method: "DELETE", path: "/sources/{source}/things/{id}" },
      run: (call: Call, input: unknown) => note("drop", call, input),
    },
    {
      ...{ name: "show_version", summary: "Shows the version", runsIn: "service", role: "viewer" },
      input: Type.Object({}, closed),
      output: Type.Object({ version: Type.String() }),
      http: { method: "GET", path: "/thing", etag: "version" },
      run: () => ({ version: deeds.version }),
    },
    {
      ...{ name: "renew", summary: "Renews the thing", runsIn: "service", role: "operator" },
      input: Type.Object({ version: Type.Optional(Type.String()) }, closed),
      output,
      http: { method: "PUT", path: "/thing", ifMatch: "version" },
      run: (call: Call, input: { version?: string }) => {
        if (input.version !== undefined && input.version !== deeds.version) {
          throw new OperationError("stale", `The version is ${deeds.version}`);
        }
        return note("renew", call, input);
      },
    },
    {
      ...{ name: "fail", summary: "Fails in the way that is asked for", runsIn: "service", role: "viewer" },
      input: Type.Object({ how: Type.String({ maxLength: 20 }) }, closed),
      output,
      http: { method: "GET", path: "/fail" },
      run: (_: Call, { how }: { how: string }) => {
        if (how === "redis") throw new StoreError("Redis is away", { code: "CONNECTION", isCertain: false });
        if (how === "bug") throw new TypeError("secret detail");
        throw new OperationError("not_found", `${JSON.stringify(how)} is not a way to fail`);
      },
    },
    {
      ...{ name: "search", summary: "Streams things", runsIn: "service", role: "viewer", stream: true },
      input: Type.Object({ first: Type.Optional(Type.Boolean()) }, closed),
      output: Type.Object({ id: Type.Integer() }),
      http: { method: "GET", path: "/search" },
      async *run({ signal }: Call, { first }: { first?: boolean }) {
        if (first) throw new OperationError("conflict", "not now");
        yield* deeds.items;
        if (deeds.isEndless) {
          await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
          deeds.left++;
        }
        if (!signal.aborted && deeds.items.length > 2) throw new OperationError("unavailable", "broke off");
      },
    },
    {
      ...{ name: "import_things", summary: "Takes any amount", runsIn: "service", role: "operator" },
      input: Type.Object({ source: Type.String(), lines: Type.Unknown() }, closed),
      output,
      http: { method: "POST", path: "/sources/{source}/import", upload: "lines" },
      run: async (call: Call, { source, lines }: { source: string; lines: AsyncIterable<Uint8Array> }) => {
        let bytes = 0;
        for await (const part of lines) bytes += part.length;
        return note("import_things", call, { source, bytes });
      },
    },
  ];
  return { operations, deeds };
}
