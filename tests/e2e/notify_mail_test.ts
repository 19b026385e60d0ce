/** Mail of the program as a user runs it: with its few permissions, over TLS, by the operation that tests a receiver. */
import assert from "node:assert/strict";
import { createKey } from "../../src/config/create_key.ts";
import { withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { startSmtpServer } from "../../testkit/smtp.ts";
import { certificateFiles } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";

const PASSWORD = "Pl4nt3dS3cr3t mail";
const WAYS = ["starttls", "implicit", "none"] as const;

withRedis(
  "notify test: sends mail with STARTTLS, with TLS at once, and in clear; not to an unknown authority",
  async (redis) => {
    await using servers = new AsyncDisposableStack();
    const start = async (tls: typeof WAYS[number]) => {
      const server = await startSmtpServer({ tls, password: PASSWORD });
      servers.defer(() => server.stop());
      return server;
    };
    const started = { starttls: await start("starttls"), implicit: await start("implicit"), none: await start("none") };
    const passwordFile = `${redis.dir}/smtp-password`, path = `${redis.dir}/notify.json`;
    await Deno.writeTextFile(passwordFile, `${PASSWORD}\n`, { mode: 0o400 });
    const receiver = (tls: typeof WAYS[number], more: object = {}) => ({
      ...{ type: "email", host: "localhost", port: started[tls].port, tls, username: "user", passwordFile },
      ...{ from: "Remediation <remediation@example.org>", to: ["ops@example.org"], ...more },
    });
    const caFile = certificateFiles("localhost").authority;
    const receivers = {
      ...{
        starttls: receiver("starttls", { caFile }),
        implicit: receiver("implicit", { caFile }),
        none: receiver("none"),
      },
      untrusted: receiver("starttls", { caFile: certificateFiles("elsewhere").authority }),
    };
    await Deno.writeTextFile(path, JSON.stringify({ receivers }));
    const { key, entry } = createKey({ name: "ann", role: "operator" });
    await using service = startService({
      env: {
        ...{ REDIS_URL: redis.url, REMEDIATION_NOTIFY_PATH: path, MOOG_HEALTH_CHECK_ENABLED: "false" },
        ...{ REMEDIATION_API_PORT: "0", REMEDIATION_API_KEYS: entry },
      },
    });
    const { api } = await service.ports();
    const test = async (name: string) => {
      const url = `http://127.0.0.1:${api}/api/v1/receivers/${name}/test`;
      const headers = { "x-api-key": key, "content-type": "application/json" };
      const response = await fetch(url, { method: "POST", headers, body: "{}" });
      return { status: response.status, text: await response.text() };
    };
    // The receivers are there when Redis was ready once.
    await waitUntil(async () => (await test("none")).status === 200, { what: "mail in clear is sent" });
    for (const way of WAYS) {
      const { status, text } = await test(way);
      assert.equal(status, 200, text);
      const mail = started[way].mails.at(-1)!;
      assert.deepEqual([mail.user, mail.isEncrypted], ["user", way !== "none"]);
      assert.match(mail.text, /^Subject: Test notice of mutt-remediation$/m);
    }
    const before = started.starttls.mails.length, { status, text } = await test("untrusted");
    assert.deepEqual([status >= 400, started.starttls.mails.length], [true, before]);
    // An old runtime (2.6) says no more of it than that the connection broke.
    assert.match(text, /(?:tls: localhost:\d+ TLS failed|unreachable: localhost:\d+ cannot be reached)/);
    const output = [...service.stdout, ...service.stderr].join("\n");
    assert.ok(!output.includes(PASSWORD), output);
  },
);
