import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonText } from "../../../src/console/json_text.tsx";

/** What a browser shows of markup. */
function shownOf(html: string): string {
  const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'" };
  return html.replaceAll(/<[^>]*>/g, "").replaceAll(/&(#?\w+);/g, (_, name) => named[name] ?? assert.fail(name));
}

Deno.test("JsonText: changes no character, of JSON, of cut JSON and of what is no JSON", () => {
  const check = (text: string) => assert.equal(shownOf(String(JsonText({ text }))), text);
  fc.assert(fc.property(fc.json(), check));
  fc.assert(fc.property(fc.json(), fc.nat(), (text, at) => check(text.slice(0, at % (text.length + 1)))));
  fc.assert(fc.property(fc.string(), check));
});

Deno.test("JsonText: names, texts, numbers and hidden values differ", () => {
  const html = String(JsonText({ text: '{"a": "x", "b": -1.5e3, "c": null, "d": "•••"}' }));
  for (const kind of ["key", "text", "number", "word", "hidden"]) {
    assert.ok(html.includes(`<span class="${kind}">`), kind);
  }
});
