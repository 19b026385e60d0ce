/** Our alerts at a real Alertmanager: one notification when they fire, and one when they are resolved. */
import assert from "node:assert/strict";
import type { AlertmanagerDefinition } from "../../src/config/notify.ts";
import type { Notice } from "../../src/notify/notice.ts";
import { createReceiver } from "../../src/notify/receivers/create.ts";
import { startHttpStub } from "../../testkit/http_stub.ts";
import { BASE, createReceiverDeps, INCIDENT, NOTICE } from "../../testkit/notify.ts";
import { withProgram } from "../../testkit/prometheus.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const PROGRAM = "prometheus-alertmanager";

async function startAlertmanager(dir: string, hook: string): Promise<{ url: string } & AsyncDisposable> {
  const address = `127.0.0.1:${freePort()}`;
  const config = {
    route: { receiver: "hook", group_by: ["alertname"], group_wait: "3s", group_interval: "1s" },
    receivers: [{ name: "hook", webhook_configs: [{ url: hook, send_resolved: true }] }],
  };
  await Deno.writeTextFile(`${dir}/alertmanager.yml`, JSON.stringify(config));
  const child = new Deno.Command(PROGRAM, {
    args: [
      ...[`--config.file=${dir}/alertmanager.yml`, `--storage.path=${dir}/data`, `--web.listen-address=${address}`],
      "--cluster.listen-address=",
    ],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  const url = `http://${address}`,
    dispose = async () => {
      child.kill("SIGKILL");
      await child.status;
    };
  const isUp = async () =>
    (await new Deno.Command("amtool", { args: ["alert", `--alertmanager.url=${url}`] }).output()).success;
  try {
    await waitUntil(isUp, { what: "the Alertmanager answers", timeoutMs: 30_000 });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url, [Symbol.asyncDispose]: dispose };
}

withProgram(PROGRAM, "alertmanager: a real one tells an incident of two sources once, and its end once", async () => {
  const dir = await Deno.makeTempDir({ prefix: "alertmanager-" }), hook = await startHttpStub();
  try {
    await using alertmanager = await startAlertmanager(dir, hook.url);
    const definition: AlertmanagerDefinition = {
      ...{ ...BASE, type: "alertmanager", url: alertmanager.url, login: null, labels: { team: "ops" } },
    };
    const receiver = createReceiver(definition, createReceiverDeps()), { signal } = new AbortController();
    // An alert that began before the group's wait would be told at once, perhaps before the other one of its group was there.
    const beganMs = Date.now();
    const notice = (event: Notice["event"], sources: readonly string[], endedMs: number | null = null): Notice => ({
      ...{ ...NOTICE, event, atMs: Date.now(), incident: { ...INCIDENT, sources, beganMs, endedMs } },
    });
    const told = () =>
      hook.requests.map(({ body }) => {
        const { status, alerts } = JSON.parse(body);
        return `${status} ${alerts.map(({ labels }: { labels: { source: string } }) => labels.source).sort()}`;
      });
    // Again and again, as while an incident lasts.
    for (let i = 0; i < 3; i++) await receiver.send(notice("began", ["alerter", "moog"]), signal);
    await waitUntil(() => told().length > 0, { what: "it is told", timeoutMs: 30_000 });
    await receiver.send(notice("updated", ["alerter", "moog"]), signal);
    await receiver.send(notice("ended", ["alerter", "moog"], Date.now()), signal);
    await waitUntil(() => told().length > 1, { what: "its end is told", timeoutMs: 30_000 });
    assert.deepEqual(told(), ["firing alerter,moog", "resolved alerter,moog"]);
    receiver.close();
  } finally {
    await hook.stop();
    await Deno.remove(dir, { recursive: true });
  }
});
