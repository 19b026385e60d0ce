/** The unit file as systemd reads it, and as the rest of this repository must agree with it. */
import assert from "node:assert/strict";
import { onPath, ROOT } from "../../scripts/child.ts";
import { FIELDS } from "../../src/config/fields.ts";
import { parseSettings } from "../../src/config/load.ts";
import { RUNTIME_VARIABLES } from "../../src/config/runtime_variables.ts";
import { parseSources } from "../../src/config/sources_file.ts";
import { EXIT } from "../../src/runtime/exit.ts";

const UNIT = Deno.readTextFileSync(`${ROOT}systemd/mutt-remediation.service`);
const ENVIRONMENT = Deno.readTextFileSync(`${ROOT}systemd/mutt-remediation.env`);

/** Every value that the unit gives to a key, in order. */
const valuesOf = (key: string) => [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value!);

/** Highest exposure that `systemd-analyze security` may tell: 0 is locked up, 10 open. The page says which it is. */
const MAX_EXPOSURE = 1.4;

const hasAnalyze = onPath("systemd-analyze") !== undefined;

/** `systemd-analyze` over a copy whose program is one that is there. */
async function analyze(args: readonly string[]): Promise<{ code: number; text: string }> {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/mutt-remediation.service`;
    Deno.writeTextFileSync(path, UNIT.replace("/usr/local/bin/mutt-remediation", "/bin/true"));
    const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", { args: [...args, path] }).output();
    return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const analyzed = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name: `unit: ${name}${hasAnalyze ? "" : " (ignored: no systemd-analyze)"}`, ignore: !hasAnalyze, fn });

analyzed("systemd finds nothing wrong with it", async () => {
  const { text } = await analyze(["verify", "--man=no"]);
  // A machine without systemd as process 1 lacks units that any unit asks for; nothing else may be told.
  const told = text.split("\n").filter((line) => line.includes("mutt-remediation") && !line.includes("not found."));
  assert.deepEqual(told, []);
});

analyzed(`systemd calls it exposed by ${MAX_EXPOSURE} at most, as the page says`, async () => {
  const { code, text } = await analyze([
    "security",
    "--offline=true",
    `--threshold=${MAX_EXPOSURE * 10}`,
    "--no-pager",
  ]);
  assert.equal(code, 0, text);
  const page = Deno.readTextFileSync(`${ROOT}docs/install.md`);
  assert.ok(page.includes(`\`systemd-analyze security\` says ${MAX_EXPOSURE} `), "the page says another figure");
});

Deno.test("unit: keeps the original's user, environment files and name in the journal", () => {
  assert.deepEqual([...valuesOf("User"), ...valuesOf("Group")], ["mutt", "mutt"]);
  assert.deepEqual(valuesOf("EnvironmentFile"), [
    "-/opt/mutt/.env",
    "-/etc/mutt/mutt.env",
    "-/etc/mutt/mutt-remediation.env",
  ]);
  assert.deepEqual(valuesOf("SyslogIdentifier"), ["mutt-remediation"]);
});

Deno.test("unit: takes the runtime's variables away", () => {
  const unset = valuesOf("UnsetEnvironment").join(" ").split(" ");
  assert.deepEqual(unset.toSorted(), RUNTIME_VARIABLES.toSorted());
});

Deno.test("manifests: start the service without any of the runtime's variables", () => {
  const files = ["compose.yaml", "k8s/remediation-deployment.yaml", "Dockerfile", "systemd/mutt-remediation.env"];
  for (const file of files) {
    const text = Deno.readTextFileSync(ROOT + file);
    // The stage that compiles may have any; the image is what stands behind the last FROM.
    const shipped = file === "Dockerfile" ? text.slice(text.lastIndexOf("\nFROM ")) : text;
    const found = RUNTIME_VARIABLES.filter((name) => new RegExp(`\\b${name}\\b`).test(shipped));
    assert.deepEqual(found, [], file);
  }
});

Deno.test("unit: waits longer than the program takes to stop, and does not restart what a restart cannot mend", () => {
  assert.ok(Number(valuesOf("TimeoutStopSec")[0]) > FIELDS.shutdownTimeoutMs.default / 1_000);
  assert.deepEqual(valuesOf("RestartPreventExitStatus"), [`${EXIT.configuration}`]);
});

Deno.test("unit: its environment file is a good configuration, commented lines included, and drains all", () => {
  const lines = [...ENVIRONMENT.matchAll(/^#?([A-Z][A-Z_]+)=(.*)$/gm)];
  assert.ok(lines.length >= 6);
  const environment = Object.fromEntries(lines.map(([, name, value]) => [name!, value!]));
  const keys = `ann:viewer:${"0".repeat(64)}`;
  const readFile = (path: string) => path.endsWith("api-keys") ? keys : `{"sources": {}}`;
  const loaded = parseSettings({ environment, dotEnv: {}, readFile, parseSources });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.deepEqual(loaded.warnings, []);
  assert.equal(loaded.settings.batchSize, 0);
  assert.match(ENVIRONMENT, /^REMEDIATION_BATCH_SIZE=0$/m);
});
