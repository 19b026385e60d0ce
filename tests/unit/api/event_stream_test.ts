import assert from "node:assert/strict";
import { EventStream } from "../../../src/api/event_stream.ts";

function open({ unreadBytes = 100, isValid = true } = {}) {
  const gone = new AbortController(), ended: EventStream[] = [];
  const stream = new EventStream({
    unreadBytes,
    isValid: () => isValid,
    signal: gone.signal,
    onEnd: (one) => ended.push(one),
  });
  return { stream, gone, ended };
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("EventStream: sends events in order, and ends once", async () => {
  const { stream, ended } = open();
  stream.begin([bytes("a")]);
  stream.send([bytes("b"), bytes("c")]);
  stream.end();
  stream.end();
  stream.send([bytes("d")]);
  assert.equal(await new Response(stream.body).text(), "abc");
  assert.deepEqual(ended, [stream]);
});

Deno.test("EventStream: ends for a client that does not read, has gone, cancels, or may not have events any more", async () => {
  const slow = open({ unreadBytes: 3 });
  slow.stream.send([bytes("ab"), bytes("cd")]);
  assert.equal(slow.ended.length, 1);
  assert.equal(await new Response(slow.stream.body).text(), "ab");

  const left = open();
  left.gone.abort();
  assert.equal(left.ended.length, 1);

  const cancelled = open();
  await cancelled.stream.body.cancel();
  cancelled.stream.end();
  assert.equal(cancelled.ended.length, 1);

  const refused = open({ isValid: false });
  refused.stream.send([]);
  assert.equal(refused.ended.length, 1);
});
