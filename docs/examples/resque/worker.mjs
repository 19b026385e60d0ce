// Ships orders with node-resque, which pushes a job that fails to `resque:failed`, in an envelope.
import process from "node:process";
import { Worker } from "node-resque";

async function ship(id) {
  const { ok, status } = await fetch("http://localhost:9000", { method: "POST", body: id });
  if (!ok) throw new Error(`${id} was refused: ${status}`);
}

const connection = { host: "localhost", port: 6379 };
const worker = new Worker({ connection, queues: ["orders"], timeout: 1_000 }, { ship: { perform: ship } });
worker.on("error", console.error);
await worker.connect();
await worker.start();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => worker.end());
