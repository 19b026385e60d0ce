/** Whatever stands in the environment, in `.env`, in the sources file or behind a dynamic key: no throw, no secret, no forged line. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { leadsThrough, memberPath, memberRef } from "../../src/message/member_path.ts";
import { pathsOf } from "../../src/message/policy_paths.ts";
import { DYNAMIC_KEYS, LiveSettings, MUTT_SHARED_FIELDS, MUTT_SHARED_KEYS } from "../../src/mutt/dynamic_keys.ts";
import type { Field } from "../../src/config/field.ts";
import {
  DEFAULT_SETTINGS,
  FIELDS,
  knownVariables,
  SETTING_KEYS,
  type SettingKey,
  type Settings,
} from "../../src/config/fields.ts";
import { parseDotEnv } from "../../src/config/layers.ts";
import { type Loaded, parseSettings, showValue } from "../../src/config/load.ts";
import { MAX_DB, parseRedisUrl, parseServers } from "../../src/config/redis_url.ts";
import { Secret } from "../../src/runtime/secret.ts";
import { toWindow } from "../../src/config/window.ts";
import { WindowSchedule } from "../../src/config/window_schedule.ts";
import { SOURCE_MEMBERS, type SourceEntry } from "../../src/config/source_fields.ts";
import { MAX_PROBLEMS } from "../../src/config/file_problems.ts";
import { parseNotify } from "../../src/config/notify_file.ts";
import { MAX_SOURCES, parseSources, SOURCE_NAME_PATTERN } from "../../src/config/sources_file.ts";
import { HOSTILE_JSON, HOSTILE_NAMES, HOSTILE_TEXT } from "../../testkit/hostile_json.ts";
import { propertyRuns, textOf } from "../../testkit/payloads.ts";
import { checkTold } from "../../testkit/told.ts";

const SECRET = "s3cr3t-marker";
const SECRETS = new Set(
  SETTING_KEYS.map((key) => FIELDS[key]).filter(({ secret }) => secret).flatMap((
    { variable, aliases },
  ) => [variable, ...aliases]),
);
const NUMBER_TEXT = fc.oneof(fc.integer().map(String), fc.double().map(String), fc.bigInt().map(String));
const URL_TEXT = fc.tuple(
  fc.constantFrom(
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "unix://",
    "http://",
    "https://",
    "tcp://",
    "HTTP://",
    "",
  ),
  fc.constantFrom("", `me:${SECRET}@`, `:${SECRET}#@`, `${SECRET}@`, `me:${SECRET}%@`, `a@b:${SECRET}/@`),
  fc.oneof(fc.constantFrom("host", "host:1", "host:0", "[::1]:7", "a,b:7", "", "h ost", "host:99999"), HOSTILE_TEXT),
  fc.oneof(fc.constantFrom("", "/", "/0", "/q", "/q/3", "/run/x.sock"), HOSTILE_TEXT),
).map((parts) => parts.join(""));
const WORD = fc.constantFrom(
  "true",
  "FALSE",
  "auto",
  "none",
  "alerter,moog",
  "INFO",
  "json",
  "0",
  "1",
  "3",
  "60",
  "65535",
);
const DRESSED = fc.tuple(
  fc.constantFrom("", " ", '"', "'", "\ufeff"),
  fc.oneof(WORD, NUMBER_TEXT, URL_TEXT),
  fc.constantFrom("", " # why", " #", '"', "'", '" # why', "\r\n", "\u0000"),
).map((parts) => parts.join(""));
const VALUE = fc.oneof(WORD, NUMBER_TEXT, URL_TEXT, HOSTILE_TEXT, DRESSED);
const NAME = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...knownVariables()) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...HOSTILE_NAMES, "REMEDIATION_", "REMEDIATION_INTERVALL", "MOOG_", "REDIS_PASS_"),
  },
  { weight: 1, arbitrary: HOSTILE_TEXT.map((text) => `REMEDIATION_${text}`) },
);
/** A secret is a secret where one belongs, or before an `@`. */
const VARIABLE = NAME.chain((name) => {
  const isSecret = SECRETS.has(name);
  const value = isSecret ? fc.oneof(VALUE, VALUE.map((text) => `${SECRET}${text}`)) : VALUE;
  return fc.tuple(fc.constant(name), value);
});
/** As JSON would make it: `__proto__` is a name like any other. */
const VARIABLES = fc.array(VARIABLE, { maxLength: 8 })
  .map((entries): Record<string, string> => Object.fromEntries(entries));

/** Every problem names a variable that was set, or one that a rule is about; no text shows a secret. */
function checkLoaded(loaded: Loaded): void {
  checkTold(loaded, { secret: SECRET });
  if (!loaded.ok) {
    for (const problem of loaded.problems) {
      assert.ok(knownVariables().some((variable) => problem.includes(variable)), problem);
    }
    return;
  }
  for (const key of SETTING_KEYS) {
    const value: Settings[SettingKey] = loaded.settings[key];
    const shown = showValue(loaded.settings, key);
    const at = `${FIELDS[key].variable}: ${JSON.stringify(shown)}`;
    assert.ok(!(value instanceof Secret) || shown === "[redacted]", at);
    if (FIELDS[key].secret || loaded.origins[key].layer === "default" || shown.includes("[redacted]")) continue;
    // What was taken is taken again: no value is out of its bounds.
    assert.deepEqual(FIELDS[key].parse(shown), value, at);
  }
}

Deno.test("parseSettings: reads or refuses any variables, names each problem's, and shows no secret", () => {
  const readFile = (path: string) => {
    if (path.includes("x")) throw new Error(SECRET);
    return `${SECRET}\u0000${path}`;
  };
  fc.assert(
    fc.property(
      VARIABLES,
      VARIABLES,
      (environment, dotEnv) => checkLoaded(parseSettings({ environment, dotEnv, readFile, parseSources, parseNotify })),
    ),
    propertyRuns(2_500),
  );
});

Deno.test("parseDotEnv: reads any text, and gives a quoted value back as it was", () => {
  const lines = fc.array(fc.oneof(HOSTILE_TEXT, fc.tuple(NAME, VALUE).map(([name, value]) => `${name}=${value}`)));
  fc.assert(
    fc.property(lines, fc.constantFrom("\n", "\r\n", "\r"), HOSTILE_TEXT, (before, end, text) => {
      parseDotEnv(before.join(end));
      const value = text.replace(/['\r\n]/g, "");
      const { variables } = parseDotEnv(`A=1${end}${end}  export REDIS_USERNAME='${value}' # why${end}B=2`);
      assert.deepEqual(variables, { A: "1", REDIS_USERNAME: value, B: "2" });
    }),
    propertyRuns(1_500),
  );
});

const LABEL = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
const SERVER = fc.record({ host: LABEL, port: fc.integer({ min: 1, max: 65_535 }) }, { noNullPrototype: true });
/** Well-formed: what is not can not be written as %XX. */
const LOGIN = fc.string({ maxLength: 20, unit: "binary" }).map((text) => text.toWellFormed());
const LOGINS = fc.option(fc.record({ username: LOGIN, password: LOGIN }));
const DB = fc.option(fc.integer({ min: 0, max: MAX_DB }));
/** As strict as a URL can be: `encodeURIComponent` leaves some marks. */
const escape = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`);

Deno.test("parseRedisUrl: gives back what a URL was made of, and agrees with URL about ordinary ones", () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      LOGINS,
      fc.array(SERVER, { minLength: 1, maxLength: 3 }),
      DB,
      LABEL,
      (tls, login, servers, db, master) => {
        const user = login === null ? "" : `${escape(login.username)}:${escape(login.password)}@`;
        const [scheme, path] = [tls ? "rediss" : "redis", db === null ? "" : `/${db}`];
        const [{ host, port }] = servers as [typeof servers[0]];
        const said = { username: login?.username || null, password: login?.password || null, db, tls };
        const text = `${scheme}://${user}${host}:${port}${path}`;
        assert.deepEqual(parseRedisUrl(text), {
          ...said,
          ...{ scheme: `${scheme}:`, servers: [{ host, port }], master: null, path: null },
        });
        const url = new URL(text);
        assert.deepEqual([url.hostname, url.port, url.pathname], [host, String(port), path]);
        const all = servers.map((one) => `${one.host}:${one.port}`).join();
        assert.deepEqual(parseRedisUrl(`${scheme}+sentinel://${user}${all}/${master}${path}`), {
          ...said,
          ...{ scheme: `${scheme}+sentinel:`, servers, master, path: null },
        });
      },
    ),
    propertyRuns(1_000),
  );
});

Deno.test("parseRedisUrl, parseServers: take no text that names no server, and never throw", () => {
  fc.assert(
    fc.property(fc.oneof(URL_TEXT, HOSTILE_TEXT, URL_TEXT.map((text) => text.replace("@", "#@"))), (text) => {
      const url = parseRedisUrl(text);
      const servers = [...url?.servers ?? [], ...parseServers(text) ?? []];
      for (const { host, port } of servers) {
        assert.ok(host !== "" && !/[\s\p{Cc}@/?#]/u.test(host), host);
        assert.ok(Number.isInteger(port) && port >= 1 && port <= 65_535, String(port));
      }
      if (url === undefined) return;
      assert.ok(url.db === null || (url.db >= 0 && url.db <= MAX_DB));
      assert.ok(url.servers.length > 0 !== (url.path !== null));
      assert.ok(!url.servers.some(({ host }) => host.includes(SECRET)) || text.split(SECRET).length > 2, text);
    }),
    propertyRuns(3_000),
  );
});

const KEY_TEXT = fc.oneof(fc.constantFrom("a", "b:c", "mutt:dlq:alerter", "mutt:ingest_queue"), HOSTILE_TEXT);
const PATH_TEXT = fc.oneof(
  fc.constantFrom(
    "id",
    "attempts",
    "_remediation",
    "__proto__",
    "job",
    "job.payload",
    "job.payload.id",
    "a\\.b",
    "a\\b",
    ".",
  ),
  HOSTILE_TEXT,
);
const LIST = fc.array(PATH_TEXT, { maxLength: 4 });
const ODD = fc.oneof(fc.jsonValue({ maxDepth: 2 }), HOSTILE_TEXT, fc.double(), fc.constant({ secret: SECRET }));
const SPAN_END = fc.oneof(
  fc.constantFrom(
    "0 22 * * FRI",
    "0 6 * * *",
    "* * * * *",
    "61 * * * *",
    "0 0 31 2 *",
    "2026-12-24T18:00",
    "2026-02-30T00:00",
  ),
  HOSTILE_TEXT,
  ODD,
);
const WINDOWS = fc.array(
  fc.oneof(
    fc.record(
      {
        ...{ from: SPAN_END, to: SPAN_END },
        timeZone: fc.oneof(fc.constantFrom("UTC", "Europe/Berlin"), HOSTILE_TEXT, ODD),
        replay: fc.oneof(fc.constantFrom("never", "only"), ODD),
        reason: fc.oneof(fc.constant("maintenance"), HOSTILE_TEXT, ODD),
        ["__proto__"]: ODD,
      },
      { requiredKeys: [] },
    ),
    ODD,
  ),
  { maxLength: 3 },
);
const ENTRY = fc.record(
  {
    dlq: fc.oneof(KEY_TEXT, ODD),
    target: fc.oneof(KEY_TEXT, ODD),
    dead: fc.oneof(KEY_TEXT, ODD),
    push: fc.oneof(fc.constantFrom("LPUSH", "RPUSH"), ODD),
    counter: fc.oneof(PATH_TEXT, fc.constant(null), ODD),
    unwrap: fc.oneof(PATH_TEXT, fc.constant(null), ODD),
    show: fc.oneof(LIST, ODD),
    cutOnReplay: fc.oneof(LIST, ODD),
    required: fc.oneof(LIST, ODD),
    maxReplays: fc.oneof(fc.integer({ min: -1, max: 1_001 }), ODD),
    maxPerSecond: fc.oneof(fc.double({ min: 0, max: 2 }), fc.constant("auto"), ODD),
    targetMaxDepth: fc.oneof(fc.nat(), ODD),
    healthUrl: fc.oneof(URL_TEXT, ODD),
    windows: fc.oneof(WINDOWS, ODD),
    ["__proto__"]: ODD,
    constructor: ODD,
  },
  { requiredKeys: ["dlq", "target", "dead"] },
);
const SOURCES_TEXT = fc.tuple(
  fc.array(
    fc.tuple(fc.oneof(fc.constantFrom("orders", "alerter", "moog", ...HOSTILE_NAMES), HOSTILE_TEXT), ENTRY),
    { maxLength: 4 },
  ),
  fc.oneof(
    WINDOWS.map((windows) => `"windows": ${JSON.stringify(windows)},`),
    fc.constantFrom("", '"$schema": 1,', '"sources": {},', '"__proto__": {"sources": {}},'),
  ),
).map(([entries, before]) =>
  `{${before}"sources": {${entries.map(([name, entry]) => `${JSON.stringify(name)}: ${JSON.stringify(entry)}`)}}}`
);

/** Whatever was taken can be used, and a replay has what is required. */
function checkEntryPaths(entry: SourceEntry): void {
  const { unwrap, cut } = pathsOf(entry), { required = [], cutOnReplay = [], show = [] } = entry;
  for (const text of [...required, ...show]) memberRef(text);
  if (unwrap !== null) assert.equal(cut.length, cutOnReplay.length, "nothing beside what is replayed can be cut");
  assert.ok(!required.some((text) => cutOnReplay.some((one) => leadsThrough(memberPath(text), memberPath(one)))));
}

Deno.test("parseSources: takes or refuses any text, with few short problems that show no secret", () => {
  const text = fc.oneof(
    SOURCES_TEXT,
    HOSTILE_JSON.map(textOf),
    HOSTILE_JSON.map((bytes) => `{"sources": ${textOf(bytes)}}`),
    HOSTILE_TEXT,
  );
  fc.assert(
    fc.property(text, (json) => {
      for (const settings of [DEFAULT_SETTINGS, null]) {
        const parsed = parseSources(json, settings);
        checkTold(parsed, { secret: SECRET });
        if (!parsed.ok) {
          assert.ok(parsed.problems.length <= MAX_PROBLEMS + 1);
          continue;
        }
        assert.ok(parsed.file.sources.size <= MAX_SOURCES);
        // Whatever was taken can be asked.
        const all = [parsed.file.windows, ...[...parsed.file.sources.values()].map(({ windows = [] }) => windows)];
        for (const windows of all) new WindowSchedule(windows.map(toWindow)).at(0);
        for (const [name, entry] of parsed.file.sources) {
          assert.match(name, new RegExp(SOURCE_NAME_PATTERN));
          assert.ok(Object.keys(entry).every((member) => (SOURCE_MEMBERS as readonly string[]).includes(member)));
          assert.equal(Object.getPrototypeOf(entry), Object.prototype);
          checkEntryPaths(entry);
        }
      }
    }),
    propertyRuns(2_500),
  );
});

/** A setting's value as its variable would say it. */
function format(key: SettingKey, settings: Settings): string {
  const field: Field<unknown> = FIELDS[key];
  return field.format(settings[key]);
}

Deno.test("LiveSettings: stays within bounds whatever is set, in any order, and comes back when it is deleted", () => {
  const key = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...DYNAMIC_KEYS, ...MUTT_SHARED_KEYS) },
    { weight: 1, arbitrary: fc.constantFrom("redis_host", "__proto__", "constructor", "toString") },
  );
  const text = fc.oneof(WORD, NUMBER_TEXT, HOSTILE_TEXT, DRESSED, fc.constant(null), fc.constant("9".repeat(2_000)));
  fc.assert(
    fc.property(fc.array(fc.tuple(key, text), { maxLength: 20 }), (changes) => {
      const live = new LiveSettings(DEFAULT_SETTINGS);
      for (const [name, value] of changes) {
        const applied = live.apply(name, value);
        if (applied.result === "rejected") checkTold({ ok: false, problems: [applied.problem] }, { secret: SECRET });
        const settings = live.current();
        for (const one of SETTING_KEYS) {
          if (FIELDS[one].dynamicKey === null) assert.equal(settings[one], DEFAULT_SETTINGS[one]);
          else assert.equal(FIELDS[one].parse(format(one, settings)), settings[one]);
        }
        for (const [shared, { key: own, type }] of Object.entries(MUTT_SHARED_FIELDS)) {
          const now = live.muttShared()[shared as keyof typeof MUTT_SHARED_FIELDS];
          // What was taken is taken again: no value is out of its bounds.
          assert.ok(now === null || type.parse(type.format?.(now) ?? String(now)) === now, `${own}: ${now}`);
        }
      }
      for (const name of [...DYNAMIC_KEYS, ...MUTT_SHARED_KEYS]) live.apply(name, null);
      assert.deepEqual(live.current(), DEFAULT_SETTINGS);
      assert.ok(Object.values(live.muttShared()).every((value) => value === null));
    }),
    propertyRuns(1_500),
  );
});
