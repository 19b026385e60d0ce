import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { MoogAccess } from "../../../src/mutt/moogsoft_access.ts";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import type { SecretReader } from "../../../src/config/load.ts";
import { Secret } from "../../../src/runtime/secret.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";

function setUp({ moogApiKey, readSecret }: { moogApiKey: Secret | null; readSecret?: SecretReader }) {
  const { log, lines } = recordLog();
  const access = new MoogAccess({ settings: { ...DEFAULT_SETTINGS, moogApiKey }, readSecret, log });
  return { key: () => access.now().apiKey?.reveal(), told: () => lines.map(({ event }) => event) };
}

Deno.test("MoogAccess: takes what the settings say where nothing is read again", () => {
  strictEqual(setUp({ moogApiKey: new Secret("k1") }).key(), "k1");
  strictEqual(setUp({ moogApiKey: null }).key(), undefined);
  strictEqual(setUp({ moogApiKey: new Secret("k1"), readSecret: () => null }).key(), "k1");
  strictEqual(setUp({ moogApiKey: new Secret("k1"), readSecret: () => ({ ok: true, value: null }) }).key(), "k1");
});

Deno.test("MoogAccess: takes a key that was renewed, and tells it once", () => {
  let text = "k1";
  const { key, told } = setUp({
    moogApiKey: new Secret("k1"),
    readSecret: () => ({ ok: true, value: new Secret(text) }),
  });
  strictEqual(key(), "k1");
  text = "k2";
  deepStrictEqual([key(), key(), told()], ["k2", "k2", ["moog_access_changed"]]);
});

Deno.test("MoogAccess: takes what the owner of the secret has put in its place, and an empty one for none", () => {
  class Kept extends Secret {
    text = "";

    override reveal(): string {
      return this.text;
    }
  }
  const kept = new Kept("");
  const { key, told } = setUp({ moogApiKey: kept });
  strictEqual(key(), undefined);
  kept.text = "k1";
  deepStrictEqual([key(), told()], ["k1", ["moog_access_changed"]]);
});

Deno.test("MoogAccess: uses the last good key on while it cannot be read, told once for each trouble", () => {
  let problem: string | null = null;
  const { key, told } = setUp({
    moogApiKey: new Secret("k1"),
    readSecret: () => problem === null ? { ok: true, value: new Secret("k1") } : { ok: false, problem },
  });
  for (const next of [null, "gone", "gone", "empty", null, "gone"]) {
    problem = next;
    strictEqual(key(), "k1");
  }
  deepStrictEqual(told(), ["moog_access_unreadable", "moog_access_unreadable", "moog_access_unreadable"]);
});
