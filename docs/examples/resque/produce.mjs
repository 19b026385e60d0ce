// Orders what the command line names.
import process from "node:process";
import { Queue } from "node-resque";

const queue = new Queue({ connection: { host: "localhost", port: 6379 } });
await queue.connect();
for (const id of process.argv.slice(2)) await queue.enqueue("orders", "ship", [id]);
await queue.end();
