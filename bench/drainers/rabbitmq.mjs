/**
 * A client of RabbitMQ's two queues, to fill and to count them. Reads a command a line, `{"op": ...}`, and writes an
 * answer a line. Ends when its input or its connection ends.
 *
 *     node rabbitmq.mjs FOLDER PORT   # FOLDER: where npm installed amqplib
 *
 *     {"op": "load", "file": PATH}          empties both queues and puts a message a line into `dead`; answers null
 *     {"op": "depths"}                      answers [messages in dead, messages in target]
 *     {"op": "waitUntilMoved", "count": N}  answers null when `dead` is empty and `target` holds N
 *     {"op": "takeTexts"}                   answers every message of both queues, which are then empty
 */
import { createRequire } from "node:module";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const DEAD = "dead", TARGET = "target";
const CONNECT_ATTEMPTS = 300, CONNECT_EVERY_MS = 100, POLL_MS = 2;
/** Unconfirmed messages while loading. */
const MOST_UNCONFIRMED = 1_000;

const [folder, port] = process.argv.slice(2);
const amqp = createRequire(`${folder}/`)("amqplib");

async function connect() {
  for (let attempt = 1;; attempt++) {
    try {
      return await amqp.connect(`amqp://guest:guest@127.0.0.1:${port}`);
    } catch (error) {
      if (attempt === CONNECT_ATTEMPTS) throw error;
      await sleep(CONNECT_EVERY_MS);
    }
  }
}

const connection = await connect();
connection.on("error", () => process.exit(0)); // the broker was killed
connection.on("close", () => process.exit(0));
const channel = await connection.createConfirmChannel();
for (const queue of [DEAD, TARGET]) await channel.assertQueue(queue, { durable: true });

async function readDepths() {
  const found = await Promise.all([DEAD, TARGET].map((queue) => channel.checkQueue(queue)));
  return found.map(({ messageCount }) => messageCount);
}

async function takeAll(queue) {
  const texts = [];
  const { messageCount } = await channel.checkQueue(queue);
  if (messageCount === 0) return texts;
  await new Promise((resolve, reject) => {
    const take = ({ content }) => {
      texts.push(content.toString());
      if (texts.length === messageCount) resolve();
    };
    channel.consume(queue, take, { noAck: true, consumerTag: queue }).catch(reject);
  });
  await channel.cancel(queue);
  return texts;
}

const OPERATIONS = {
  async load({ file }) {
    for (const queue of [DEAD, TARGET]) await channel.purgeQueue(queue);
    let sent = 0;
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      channel.sendToQueue(DEAD, Buffer.from(line), { persistent: true });
      if (++sent % MOST_UNCONFIRMED === 0) await channel.waitForConfirms();
    }
    await channel.waitForConfirms();
    return null;
  },
  depths: readDepths,
  async waitUntilMoved({ count }) {
    for (;;) {
      const [dead, target] = await readDepths();
      if (dead === 0 && target === count) return null;
      await sleep(POLL_MS);
    }
  },
  async takeTexts() {
    return [...await takeAll(DEAD), ...await takeAll(TARGET)];
  },
};

console.log("null");
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  console.log(JSON.stringify(await OPERATIONS[command.op](command)));
}
process.exit(0);
