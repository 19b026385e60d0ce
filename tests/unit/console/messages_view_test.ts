import assert from "node:assert/strict";
import { pageInput, readView, viewPath } from "../../../src/console/messages_view.ts";

const view = (text: string) => readView(new URLSearchParams(text), ["alerter", "moog"]);

Deno.test("readView: takes what cannot be used as absent, and the first source by default", () => {
  assert.deepEqual(view("list=x&order=x&limit=0&near=-1&message=x&view=x"), view(""));
  assert.equal(view("").source, "alerter");
  assert.equal(view("limit=99999999").limit, 10_000);
});

Deno.test("viewPath: has what is not a default, so that the address of every state reads back as that state", () => {
  const states = [
    "",
    "source=moog&list=dead&query=reason%3Apoison+AND+%22a+b%22",
    "order=oldest&from=500&direction=newer&view=groups&limit=1000&wait=1",
    "message=m_0123456789abcdef&near=7",
  ];
  for (const state of states) {
    const path = viewPath(view(state));
    assert.deepEqual(view(new URL(path, "http://x").search), view(state), path);
  }
  assert.equal(viewPath({ list: "dlq", order: "newest", from: "", near: null }), "/messages");
});

Deno.test("pageInput: goes on in the order of the page, unless the address says where", () => {
  assert.deepEqual(pageInput(view("")), { source: "alerter", list: "dlq", from: "newest", size: 100 });
  assert.equal((pageInput(view("from=5")) as { direction: string }).direction, "older");
  assert.equal((pageInput(view("from=5&order=oldest")) as { direction: string }).direction, "newer");
  assert.equal((pageInput(view("from=5&direction=newer")) as { direction: string }).direction, "newer");
});
