/**
 * A redrive over lists in a process of its own, to be killed.
 *
 *     deno run -A bench/drainers/list_mover.ts lmove|original PORT PIPELINED
 */
import { Redis } from "ioredis";
import { DLQ } from "../../testkit/engine.ts";
import { replay } from "../../testkit/mutt/original.ts";
import type { MoverName } from "./list_peers.ts";
import { createLmove } from "./lmove.ts";

const [name, port, pipelined] = Deno.args as [MoverName, string, string];
// It ends with its Redis, also when the benchmark is gone.
const client = new Redis({ host: "127.0.0.1", port: Number(port), replyMapping: "legacy", retryStrategy: () => null });
const count = await client.llen(DLQ);
if (name === "lmove") {
  const { drain } = createLmove({ client: () => client }, { signal: new AbortController().signal }, Number(pipelined));
  await drain(count);
} else {
  await replay(client, { batchSize: count });
}
client.disconnect();
