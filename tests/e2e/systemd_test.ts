/** The unit under a real systemd: the commands of docs/install.md as they stand there, and what systemd is to do with the service. */
import assert from "node:assert/strict";
import { ROOT } from "../../scripts/child.ts";
import { startSystemd, type Systemd, whyNoSystemd } from "../../testkit/systemd.ts";
import { waitUntil } from "../../testkit/wait.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue";
const UNIT = "mutt-remediation";
const PAGE = Deno.readTextFileSync(`${ROOT}docs/install.md`);
const MIGRATION = Deno.readTextFileSync(`${ROOT}docs/migration.md`);

/** The blocks of code below a heading, by default of the install page's section on systemd. */
function blocks(heading: string, { page = sectionOf("systemd"), language = "sh" } = {}): string[] {
  const part = page.split(/^##+ /m).find((text) => text.startsWith(`${heading}\n`));
  assert.ok(part, heading);
  return [...part.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, text]) => text!);
}

function sectionOf(heading: string): string {
  return PAGE.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
}

const [INSTALL] = blocks("Install it"),
  [CHECK, LOGS] = blocks("Check it"),
  [CREDENTIALS] = blocks("Run it", { language: "ini" });
const [UPGRADE] = blocks("Upgrade"), [ROLL_BACK] = blocks("Roll back"), [UNINSTALL] = blocks("Uninstall");

const event = (id: number) =>
  `{"timestamp": "2026-11-20T10:00:00Z", "hostname": "h", "message": "m", "id": ${id}, "_retry_count": 4}`;
const events = (count: number, first = 0) => Array.from({ length: count }, (_, i) => event(first + i));
const idOf = (text: string) => JSON.parse(text).id as number;

/** No pace, no depth, no pause: what is tested is the supervisor. */
const FAST = ["REMEDIATION_MAX_PER_SECOND=0", "REMEDIATION_TARGET_MAX_DEPTH=0", "REMEDIATION_INTERVAL=1"];

const binary = Deno.env.get("MUTT_REMEDIATION_BINARY");
const why = binary ? await whyNoSystemd() : "MUTT_REMEDIATION_BINARY names no binary";

/** Registers a test with a systemd of its own, in whose `/src` lies what the page's commands ask for. */
function withSystemd(name: string, body: (systemd: Systemd) => Promise<void>): void {
  Deno.test({
    name: `systemd: ${name}${why ? ` (ignored: ${why})` : ""}`,
    ignore: why !== null,
    fn: async () => {
      await using systemd = await startSystemd({
        "/src/dist/mutt-remediation": binary!.startsWith("/") ? binary! : ROOT + binary,
        "/src/systemd": `${ROOT}systemd`,
      });
      await body(systemd);
    },
  });
}

/** Settings that win over the shipped file's, as an operator adds them. */
function configure(systemd: Systemd, lines: readonly string[]): void {
  const shipped = Deno.readTextFileSync(`${ROOT}systemd/mutt-remediation.env`);
  systemd.write("/etc/mutt/mutt-remediation.env", `${shipped}${lines.join("\n")}\n`, 0o600);
}

async function journal(systemd: Systemd): Promise<Record<string, unknown>[]> {
  const text = await systemd.shell(`journalctl -t ${UNIT} -o cat --no-pager`);
  return text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

async function waitForEvent(systemd: Systemd, name: string, count = 1): Promise<void> {
  const seen = async () => (await journal(systemd)).filter((line) => line.event === name).length;
  await waitUntil(async () => await seen() >= count, { what: `the journal holds ${name}`, timeoutMs: 20_000 });
}

const healthy = (systemd: Systemd) =>
  waitUntil(async () => (await systemd.tryShell("mutt-remediation health")).code === 0, {
    ...{ what: "the service is healthy", timeoutMs: 30_000 },
  });

withSystemd("the page's commands install, check, upgrade, roll back and uninstall it", async (systemd) => {
  const redis = await systemd.startRedis();
  await systemd.shell(INSTALL!);
  await healthy(systemd);
  await redis.lpush(DLQ, ...events(3));

  const checked = await systemd.shell(CHECK!);
  assert.match(checked, /^ok .*redis/im);
  assert.match(checked, /^REMEDIATION_BATCH_SIZE +0 +\[environment\]$/m);
  assert.match(checked, /^POD_NAME +remediation +\[environment\]$/m);
  assert.match(checked, /^OK$/m);
  await waitForEvent(systemd, "leader");
  const [lines, matched] = (await systemd.shell(`{ ${LOGS!.replace("\n", "\n}; echo ====; {\n")} }`)).split("====");
  assert.ok(lines!.trim().split("\n").every((line) => !line.startsWith("{") || JSON.parse(line).service), lines);
  assert.match(matched!, /mutt-remediation\[\d+\]: .*Remediation/);

  // What the unit promises of the process.
  const pid = await systemd.property(UNIT, "MainPID");
  const status = await systemd.shell(`cat /proc/${pid}/status`);
  const uid = (await systemd.shell("id -u mutt")).trim();
  for (
    const fact of [
      `Uid:\t${uid}\t`,
      "CapEff:\t0000000000000000",
      "CapBnd:\t0000000000000000",
      "NoNewPrivs:\t1",
      "Seccomp:\t2",
    ]
  ) {
    assert.ok(status.includes(fact), `${fact}\n${status}`);
  }
  assert.match(await systemd.shell(`cat /proc/${pid}/mountinfo`), /^\S+ \S+ \S+ \S+ \/ ro,/m);
  assert.equal((await systemd.tryShell(`systemd-analyze verify ${UNIT}.service`)).stderr, "");

  await systemd.shell(UPGRADE!);
  await healthy(systemd);
  assert.notEqual(await systemd.property(UNIT, "MainPID"), pid);
  await systemd.shell(ROLL_BACK!);
  await healthy(systemd);
  await systemd.shell("test ! -e /usr/local/bin/mutt-remediation.previous");

  await systemd.shell(UNINSTALL!);
  assert.equal(await systemd.property(UNIT, "LoadState"), "not-found");
  assert.deepEqual(await redis.keys("mutt:remediation:*"), []);
  assert.equal(await redis.llen(DLQ) + await redis.llen(TARGET), 3);
});

withSystemd("a reload, kill -9, a stop in the middle and a restart lose nothing", async (systemd) => {
  const redis = await systemd.startRedis();
  await systemd.shell(INSTALL!);
  configure(systemd, [...FAST, "REMEDIATION_CHUNK_MESSAGES=20"]);
  await systemd.shell(`systemctl restart ${UNIT}`);
  await waitForEvent(systemd, "leader");
  const count = 30_000;
  const all = events(count);
  for (let at = 0; at < count; at += 1_000) await redis.lpush(DLQ, ...all.slice(at, at + 1_000));
  const moved = () => redis.llen(TARGET);
  const moves = async () => {
    const before = await moved();
    await waitUntil(async () => await moved() > before, { what: "it drains", timeoutMs: 40_000 });
  };
  await moves();

  const pid = await systemd.property(UNIT, "MainPID");
  await systemd.shell(`systemctl reload ${UNIT}`);
  await waitForEvent(systemd, "nothing_to_reload");
  assert.equal(await systemd.property(UNIT, "MainPID"), pid);

  await systemd.shell(`kill -9 ${pid}`);
  await waitUntil(async () => await systemd.property(UNIT, "NRestarts") === "1", {
    what: "a restart",
    timeoutMs: 30_000,
  });
  await moves();

  await systemd.shell(`systemctl stop ${UNIT}`);
  assert.deepEqual(
    [await systemd.property(UNIT, "ActiveState"), await systemd.property(UNIT, "Result")],
    ["inactive", "success"],
  );
  assert.ok(await redis.llen(DLQ) > 0, "it drained all before the stop, so that the stop means nothing");
  await waitForEvent(systemd, "stopped");

  await systemd.shell(`systemctl start ${UNIT}`);
  await waitUntil(async () => await redis.llen(DLQ) === 0, { what: "all is drained", timeoutMs: 60_000 });
  const ids = (await redis.lrange(TARGET, 0, -1)).map(idOf).reverse();
  assert.deepEqual(ids, all.map(idOf));
});

withSystemd(
  "the migration page's commands look, replace a unit of the same name for good, and bring it back",
  async (systemd) => {
    const redis = await systemd.startRedis();
    const python = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    systemd.write(`/etc/systemd/system/${UNIT}.service`, python);
    await systemd.shell(`systemctl daemon-reload && systemctl enable --now ${UNIT}`);
    const [look, change, restore] = blocks("systemd", { page: MIGRATION });
    const [back] = blocks("Roll back", { page: MIGRATION });
    await systemd.shell("id mutt || useradd --system --user-group mutt");
    assert.match(await systemd.shell(look!), /^ok +redis: (.|\n)*Dry run: nothing was changed/m);
    assert.match(await systemd.property(UNIT, "ExecStart"), /path=\/bin\/sleep/);

    await systemd.shell(change!);
    configure(systemd, FAST);
    const drains = async (count: number) => {
      await redis.lpush(DLQ, ...events(5));
      await waitUntil(async () => await redis.llen(TARGET) === count, { what: "it drains", timeoutMs: 30_000 });
    };
    await drains(5);

    // As MUTT's deploy scripts do it; then the host is started anew.
    systemd.write(`/etc/systemd/system/${UNIT}.service`, python);
    await systemd.shell(`systemctl daemon-reload && systemctl enable ${UNIT} && systemctl restart ${UNIT}`);
    assert.match(await systemd.property(UNIT, "ExecStart"), /path=\/usr\/local\/bin\/mutt-remediation/);
    await drains(10);
    await systemd.shell(restore!);
    await drains(15);
    assert.match(await systemd.property(UNIT, "ProtectSystem"), /strict/);

    await systemd.shell(back!);
    assert.match(await systemd.property(UNIT, "ExecStart"), /path=\/bin\/sleep/);
    assert.equal(await systemd.property(UNIT, "ActiveState"), "active");
  },
);

withSystemd("a wrong configuration ends it with 78, and systemd leaves it at that", async (systemd) => {
  await systemd.shell(INSTALL!);
  configure(systemd, ["REMEDIATION_INTERVAL=0", "REDIS_PORT=none"]);
  await systemd.tryShell(`systemctl restart ${UNIT}`);
  await waitUntil(async () => await systemd.property(UNIT, "ActiveState") === "failed", { what: "it has failed" });
  assert.deepEqual(
    [await systemd.property(UNIT, "ExecMainStatus"), await systemd.property(UNIT, "NRestarts")],
    ["78", "0"],
  );
  const told = await systemd.shell(`journalctl -t ${UNIT} -o cat --no-pager`);
  for (const problem of ["REMEDIATION_INTERVAL", "REDIS_PORT"]) {
    assert.match(told, new RegExp(`^ *${problem} .* is not `, "m"));
  }
});

/** Whatever the unit's list of system calls does not hold is not even tried: it would end the service. */
const FATAL = "SystemCallErrorNumber=\n";

withSystemd("a Unix socket and a password as a credential work under the restrictions", async (systemd) => {
  const redis = await systemd.startRedis();
  await redis.config("SET", "requirepass", "of the redis");
  await systemd.shell(INSTALL!);
  configure(systemd, [...FAST, "REDIS_URL=unix:///run/redis/redis.sock"]);
  systemd.write("/etc/mutt/secrets/redis_pass", "of the redis\n", 0o600);
  systemd.write(`/etc/systemd/system/${UNIT}.service.d/override.conf`, `${CREDENTIALS}${FATAL}`);
  await systemd.shell(`systemctl daemon-reload && systemctl restart ${UNIT}`);
  await redis.lpush(DLQ, ...events(10));
  await waitUntil(async () => await redis.llen(TARGET) === 10, { what: "it drains", timeoutMs: 20_000 });
  await systemd.shell(`systemctl stop ${UNIT}`);
  assert.deepEqual([await systemd.property(UNIT, "Result"), await systemd.property(UNIT, "NRestarts")], [
    "success",
    "0",
  ]);
});

/** What a line of an environment file comes to: as systemd hands it over, and as the program reads the same file as `.env`. */
const LINES: readonly [line: string, key: string, systemd: string | null, own: string | null][] = [
  ["REDIS_HOST=redis.example", "REDIS_HOST", "redis.example", "redis.example"],
  ["POD_NAME='a#b \"c\"'", "POD_NAME", 'a#b "c"', 'a#b "c"'],
  ["REDIS_SENTINELS=", "REDIS_SENTINELS", null, null],
  // The page's table.
  ["REMEDIATION_INTERVAL=60   # comment", "REMEDIATION_INTERVAL", "60", "60"],
  ['REDIS_USERNAME="60" # comment', "REDIS_USERNAME", "60# comment", "60"],
  ["DEAD_LETTER_QUEUE=a#b", "DEAD_LETTER_QUEUE", "a#b", "a"],
  ["MOOG_DLQ_NAME=a\\b", "MOOG_DLQ_NAME", "ab", "a\\b"],
  ['ALERT_QUEUE_NAME="a\\"b"', "ALERT_QUEUE_NAME", 'a"b', 'a\\"b'],
  ["export REDIS_DB=3", "REDIS_DB", null, "3"],
  ["MOOG_RATE_LIMIT: 40", "MOOG_RATE_LIMIT", null, "40"],
];

withSystemd("an environment file says in both readings what the page says", async (systemd) => {
  await systemd.shell("install -m 755 dist/mutt-remediation /usr/local/bin/");
  systemd.write("/tmp/both/.env", `${LINES.map(([line]) => line).join("\n")}\n`);
  const settings = (json: string) => {
    const parsed = JSON.parse(json) as {
      settings: { variable: string; value: string; origin: string }[];
      warnings: string[];
    };
    const found = new Map(
      parsed.settings.map(({ variable, value, origin }) => [variable, origin === "default" ? null : value]),
    );
    return { warnings: parsed.warnings, values: LINES.map(([, variable]) => found.get(variable) ?? null) };
  };
  const bySystemd = settings(
    await systemd.shell(
      "systemd-run --quiet --pipe --wait -p EnvironmentFile=/tmp/both/.env /usr/local/bin/mutt-remediation config --json",
    ),
  );
  const byItself = settings(await systemd.shell("cd /tmp/both && mutt-remediation config --json"));
  assert.deepEqual(bySystemd.values, LINES.map(([, , value]) => value));
  assert.deepEqual(byItself.values, LINES.map(([, , , value]) => value));
  assert.ok(
    bySystemd.warnings.some((text) => text.includes("REMEDIATION_INTERVAL has a comment")),
    `${bySystemd.warnings}`,
  );
  assert.ok(
    byItself.warnings.some((text) => text.includes('DEAD_LETTER_QUEUE in .env is cut at its "#"')),
    `${byItself.warnings}`,
  );
  const table = PAGE.split("is not how the program reads")[1]!.split("\n###")[0]!;
  for (const part of ["`60# comment`", "`a#b`", "`ab`", '`a"b`']) assert.ok(table.includes(part), part);
});
