/** What is started through a wrapper stops with it. */
import assert from "node:assert/strict";
import { permissionFlags } from "../../scripts/compile.ts";
import { ROOT } from "../../scripts/child.ts";
import { howToRun } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const SETTINGS = { REMEDIATION_BIND_ADDRESS: "127.0.0.1", METRICS_PORT_REMEDIATION: "0", REDIS_HOST: "127.0.0.1" };

async function answers(port: number): Promise<boolean> {
  // Another test's listener on that port may never answer.
  const signal = AbortSignal.timeout(5_000);
  return await fetch(`http://127.0.0.1:${port}/livez`, { signal }).then((reply) => reply.text()).catch(() => "") ===
    "OK";
}

/** Starts a command that serves health on a free port, sends it SIGTERM once it does, and waits until nobody serves there. */
async function stopsWith(command: readonly string[], env: Record<string, string>): Promise<void> {
  const port = freePort();
  const child = new Deno.Command(command[0]!, {
    args: [...command.slice(1)],
    env: { ...env, ...SETTINGS, REDIS_PORT: String(freePort()), HEALTH_PORT_REMEDIATION: String(port) },
    ...{ clearEnv: true, cwd: ROOT, stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  await waitUntil(() => answers(port), { what: "the service answers", timeoutMs: 60_000 });
  child.kill("SIGTERM");
  await child.status;
  await waitUntil(async () => !await answers(port), { what: "the service has stopped", timeoutMs: 60_000 });
}

Deno.test("run: stops in order when the wrapper of npx has ended, which hands no signal on", async () => {
  const { program, prefix, needs } = howToRun();
  // As npx does: a parent that waits, and dies of the signal alone.
  const script = '"$0" "$@"; :';
  await stopsWith(["/bin/sh", "-c", script, program, ...prefix, "run"], { ...needs, npm_command: "exec" });
});

Deno.test("dev: hands SIGTERM on to the service that it runs", async () => {
  const { needs } = howToRun(permissionFlags());
  await stopsWith([Deno.execPath(), "run", "-A", "--no-lock", "scripts/task.ts", "dev"], needs);
});

Deno.test("run: a parent that ends is none of its business without npx", async () => {
  const { program, prefix, needs } = howToRun();
  const port = freePort();
  const env = { ...needs, ...SETTINGS, REDIS_PORT: String(freePort()), HEALTH_PORT_REMEDIATION: String(port) };
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", '"$0" "$@" >/dev/null 2>&1 & echo $!', program, ...prefix, "run"],
    ...{ env, clearEnv: true, cwd: ROOT, stdin: "null" },
  }).output();
  const pid = Number(new TextDecoder().decode(stdout));
  try {
    await waitUntil(() => answers(port), { what: "the service answers", timeoutMs: 60_000 });
    // Two looks of the guard, were there one.
    const untilMs = performance.now() + 1_500;
    await waitUntil(() => performance.now() > untilMs, { what: "it has been looked twice" });
    assert.ok(await answers(port));
  } finally {
    Deno.kill(pid, "SIGTERM");
    await waitUntil(async () => !await answers(port), { what: "the service has stopped", timeoutMs: 60_000 });
  }
});
