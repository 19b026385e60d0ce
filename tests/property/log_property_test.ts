/** Whatever is logged: one line, and in JSON one object that holds it whole. */
import fc from "fast-check";
import { HOSTILE_TEXT } from "../../testkit/hostile_json.ts";
import { propertyRuns } from "../../testkit/payloads.ts";
import { checkLine } from "../../testkit/told.ts";

Deno.test("createLog: writes any text as one line, from which JSON gives it back", () => {
  fc.assert(fc.property(HOSTILE_TEXT, checkLine), propertyRuns(2_000));
});
