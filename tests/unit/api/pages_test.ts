import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { type Pages, route, textReply, wantsJson } from "../../../src/api/pages.ts";

const pages: Pages = {
  "/one": { summary: "the first", answer: () => textReply("één") },
  "/bad": {
    summary: "throws",
    answer: () => {
      throw new Error("inside");
    },
  },
};

const ask = (path: string, method = "GET") => route(pages, new Request(`http://x${path}`, { method }));

Deno.test("route: answers with the page when its path matches, query string or not", async () => {
  for (const path of ["/one", "/one?x=1", "/one?", "/one#f"]) {
    const response = await ask(path);
    deepStrictEqual([response.status, await response.text()], [200, "één"]);
  }
});

Deno.test("route: forbids caching and sniffing when it answers", async () => {
  for (const path of ["/one", "/", "/none"]) {
    const { headers } = await ask(path);
    deepStrictEqual([headers.get("cache-control"), headers.get("x-content-type-options")], ["no-store", "nosniff"]);
  }
});

Deno.test("route: answers the head alone when asked by HEAD", async () => {
  const response = await ask("/one", "HEAD");
  deepStrictEqual([response.status, response.headers.get("content-length"), await response.text()], [200, "5", ""]);
});

Deno.test("route: says which methods it takes when asked by another", async () => {
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    const response = await ask("/one", method);
    deepStrictEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD"]);
  }
});

Deno.test("route: says that a page is not there before it says which methods it takes", async () => {
  strictEqual((await ask("/none", "POST")).status, 404);
  strictEqual((await ask("/", "POST")).status, 405);
});

Deno.test("route: lists the paths when there is none such", async () => {
  for (const path of ["/none", "/one/", "/toString", "/__proto__"]) {
    const response = await ask(path);
    deepStrictEqual([response.status, await response.text()], [
      404,
      "Not found. Available pages:\n/one  the first\n/bad  throws\n",
    ]);
  }
});

Deno.test("route: lists the paths when asked for /", async () => {
  strictEqual(await (await ask("/")).text(), "/one  the first\n/bad  throws\n");
});

Deno.test("route: rejects when a page throws", async () => {
  await rejects(ask("/bad"), { message: "inside" });
});

const accepts: [string | undefined, boolean][] = [
  [undefined, false],
  ["*/*", false],
  ["text/html,application/xhtml+xml,*/*;q=0.8", false],
  ["application/json", true],
  ["text/plain;q=0.5, Application/JSON; q=0.9", true],
  ["application/json;q=0", false],
  ["application/json-seq", false],
];

for (const [accept, expected] of accepts) {
  Deno.test(`wantsJson: says ${expected} when Accept is ${accept}`, () => {
    const headers: HeadersInit = accept === undefined ? {} : { accept };
    strictEqual(wantsJson(new Request("http://x", { headers })), expected);
  });
}
