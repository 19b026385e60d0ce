/** What each receiver is sent for each event, to the byte: real servers, and a notice of each event. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { ReceiverDefinition } from "../../src/config/notify.ts";
import type { Incident, Notice, NoticeEvent } from "../../src/notify/notice.ts";
import { createReceiver } from "../../src/notify/receivers/create.ts";
import { composeNotice } from "../../src/notify/wording.ts";
import { type HttpStub, startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";
import {
  BASE,
  BEGAN_MS,
  createReceiverDeps,
  FILES,
  INCIDENT,
  readFakeFile,
  SIGNING_BYTES,
} from "../../testkit/notify.ts";
import { startSmtpServer } from "../../testkit/smtp.ts";

const EVENTS = ["began", "updated", "ended", "happened", "test"] as const satisfies readonly NoticeEvent[];
const SINCE = "2026-11-30T14:02:05.000Z", AT = "2026-11-30T14:14:05.000Z", AT_MS = BEGAN_MS + 720_000;
const URL_OF = "https://remediation.example.org/messages?source=alerter&list=dead&message=m_0123456789abcdef";
const LINK: Readonly<Record<NoticeEvent, string>> = {
  ...{ began: URL_OF, updated: URL_OF, ended: URL_OF, happened: URL_OF, test: "https://remediation.example.org/" },
};
const TITLE: Readonly<Record<NoticeEvent, string>> = {
  began: "Poison messages in alerter: 1,204 since 14:02 UTC",
  updated: "Still: poison messages in alerter: 1,204 since 14:02 UTC",
  ended: "Over: poison messages in alerter, for 12 min",
  happened: "Poison messages in alerter: 1,204",
  test: "Test notice of mutt-remediation",
};
const DETAIL = "1,204 messages moved to the dead list as poison";
const GROUP = "alerter: 1,204 messages, such as m_0123456789abcdef: HTTP 500 <html>";
const TEXT: Readonly<Record<NoticeEvent, string>> = {
  began: `${DETAIL}\n${GROUP}`,
  updated: `${DETAIL}\n${GROUP}`,
  ended: `${DETAIL}\n${GROUP}\nFrom 2026-11-30 14:02 UTC to 2026-11-30 14:14 UTC`,
  happened: `${DETAIL}\n${GROUP}`,
  test: `If you can read this, the receiver works.\n${DETAIL}`,
};

function noticeOf(event: NoticeEvent, incident: Partial<Incident> = {}): Notice {
  const isOver = event === "ended" || event === "happened";
  return composeNotice({
    ...{ id: `n_0123abcd_${EVENTS.indexOf(event as "began") + 1}`, event, atMs: AT_MS },
    incident: { ...INCIDENT, endedMs: isOver ? AT_MS : null, ...incident },
  }, { file: { consoleUrl: "https://remediation.example.org" }, definition: BASE });
}

Deno.test("composeNotice: the words of each event", () => {
  for (const event of EVENTS) {
    const { title, text, url } = noticeOf(event);
    assert.deepEqual({ title, text, url }, { title: TITLE[event], text: TEXT[event], url: LINK[event] });
  }
});

const escapeSlack = (text: string) => text.replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const run = (text: string, style = {}) => ({ type: "RichTextBlock", inlines: [{ type: "TextRun", text, ...style }] });

interface HttpCase {
  readonly definition: (url: string) => Record<string, unknown>;
  readonly answer: StubAnswer;
  readonly target: string;
  /** The bodies of an event's requests, in order. */
  readonly bodies: (event: NoticeEvent) => readonly unknown[];
}

const PAGER = (event: NoticeEvent, action: string) => ({
  ...{ routing_key: FILES["/run/secrets/pager"]!.trim(), event_action: action, dedup_key: "i_0123abcd" },
  ...(action !== "trigger" ? {} : {
    payload: {
      ...{ summary: TITLE[event], source: "mutt-remediation", severity: event === "test" ? "info" : "warning" },
      ...{ timestamp: event === "test" ? AT : SINCE, component: "alerter", group: "dead", class: "poison" },
      custom_details: { detail: DETAIL, text: TEXT[event], groups: INCIDENT.groups },
    },
    links: [{ href: LINK[event], text: "Open in the console" }],
    ...{ client: "mutt-remediation", client_url: LINK[event] },
  }),
});

const CASES: Readonly<Record<Exclude<ReceiverDefinition["type"], "email">, HttpCase>> = {
  slack: {
    definition: () => ({ urlFile: "/run/url" }),
    answer: { status: 200, body: "ok" },
    target: "/hook?x=1",
    bodies: (event) => [{
      text: TITLE[event],
      blocks: [
        { type: "header", text: { type: "plain_text", text: TITLE[event], emoji: false } },
        { type: "section", text: { type: "mrkdwn", text: escapeSlack(TEXT[event]), verbatim: true } },
        {
          type: "section",
          text: {
            ...{ type: "mrkdwn", text: `<${LINK[event].replaceAll("&", "&amp;")}|Open in the console>` },
            verbatim: true,
          },
        },
      ],
      ...{ unfurl_links: false, unfurl_media: false },
    }],
  },
  teams: {
    definition: () => ({ urlFile: "/run/url" }),
    answer: { status: 202 },
    target: "/hook?x=1",
    bodies: (event) => [{
      type: "message",
      attachments: [{
        ...{ contentType: "application/vnd.microsoft.card.adaptive", contentUrl: null },
        content: {
          $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
          ...{ type: "AdaptiveCard", version: "1.4" },
          body: [
            run(TITLE[event], { weight: "Bolder", size: "Medium" }),
            ...TEXT[event].split("\n").map((line) => run(line)),
          ],
          actions: [{ type: "Action.OpenUrl", title: "Open in the console", url: LINK[event] }],
        },
      }],
    }],
  },
  pagerduty: {
    definition: (url) => ({ url, routingKeyFile: "/run/secrets/pager" }),
    answer: { status: 202, body: '{"status":"success","message":"Event processed","dedup_key":"i_0123abcd"}' },
    target: "/v2/enqueue",
    bodies: (event) => {
      if (event === "ended") return [PAGER(event, "resolve")];
      return (event === "test" ? ["trigger", "acknowledge", "resolve"] : ["trigger"]).map((one) => PAGER(event, one));
    },
  },
  webhook: {
    definition: (url) => ({ address: { url: `${url}/hook?x=1` }, secretFile: "/run/secrets/hook" }),
    answer: { status: 204 },
    target: "/hook?x=1",
    bodies: (event) => {
      const { beganMs: _, endedMs: __, ...facts } = INCIDENT, isOver = event === "ended" || event === "happened";
      return [{
        type: event === "test" ? "test" : `incident.${event}`,
        timestamp: AT,
        data: {
          ...{ id: noticeOf(event).id, title: TITLE[event], text: TEXT[event], url: LINK[event] },
          incident: { ...facts, beganAt: SINCE, endedAt: isOver ? AT : null },
        },
      }];
    },
  },
  alertmanager: {
    definition: (url) => ({
      url,
      labels: { team: "ops" },
      login: { username: "user", passwordFile: "/run/secrets/password" },
    }),
    answer: { status: 200 },
    target: "/api/v2/alerts",
    bodies: (event) => [[{
      labels: event === "test" ? { team: "ops", alertname: "MuttRemediationTest", severity: "info" } : {
        ...{ team: "ops", alertname: "MuttRemediationDead", severity: "warning", cause: "poison" },
        source: "alerter",
      },
      annotations: { summary: TITLE[event], description: TEXT[event], url: LINK[event] },
      startsAt: event === "test" ? AT : SINCE,
      ...(event === "ended" ? { endsAt: AT } : {}),
      ...(event === "test" || event === "happened" ? { endsAt: "2026-11-30T14:19:05.000Z" } : {}),
      generatorURL: LINK[event],
    }]],
  },
};

async function withStub(answer: StubAnswer, body: (stub: HttpStub) => Promise<void>): Promise<void> {
  const stub = await startHttpStub();
  stub.answer(answer);
  try {
    await body(stub);
  } finally {
    await stub.stop();
  }
}

function createOne(type: ReceiverDefinition["type"], members: Record<string, unknown>, files: Record<string, string>) {
  const deps = createReceiverDeps({ readFile: (path) => files[path] ?? readFakeFile(path) });
  return createReceiver({ ...BASE, type, ...members } as unknown as ReceiverDefinition, deps);
}

const never = () => new AbortController().signal;

for (const [type, { definition, answer, target, bodies }] of Object.entries(CASES)) {
  for (const event of EVENTS) {
    Deno.test(`${type}: ${event}`, () =>
      withStub(answer, async (stub) => {
        const members = definition(stub.url);
        const receiver = createOne(type as "slack", members, { "/run/url": `${stub.url}/hook?x=1\n` });
        await receiver.send(noticeOf(event), never());
        assert.deepEqual(stub.requests.map(({ body }) => JSON.parse(body)), bodies(event));
        for (const { method, target: asked, headers } of stub.requests) {
          assert.deepEqual([method, asked], ["POST", target]);
          assert.equal(headers["content-type"], "application/json; charset=utf-8");
        }
        receiver.close();
      }));
  }
}

Deno.test("webhook: the signature is that of Standard Webhooks, and its id stays when it is sent again", () =>
  withStub({ status: 200 }, async (stub) => {
    const receiver = createOne("webhook", CASES.webhook.definition(stub.url), {});
    const beforeSeconds = Math.floor(Date.now() / 1_000);
    await receiver.send(noticeOf("began"), never());
    await receiver.send(noticeOf("began"), never());
    assert.equal(stub.requests.length, 2);
    for (const { headers, body } of stub.requests) {
      const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = headers;
      assert.equal(id, "n_0123abcd_1");
      assert.ok(Number(timestamp) >= beforeSeconds && Number(timestamp) <= Date.now() / 1_000);
      const expected = createHmac("sha256", SIGNING_BYTES).update(`${id}.${timestamp}.${body}`).digest("base64");
      assert.equal(signature, `v1,${expected}`);
    }
  }));

Deno.test("webhook: the signature fits the example of the standard's own library", async () => {
  const { sign } = await import("../../src/notify/receivers/webhook.ts");
  const { readSigningKey } = await import("../../src/config/notify_secrets.ts");
  // https://github.com/standard-webhooks/standard-webhooks, libraries/javascript: its test of `sign`.
  const key = readSigningKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")!;
  const signed = { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: '{"test": 2432232314}' };
  assert.equal(sign(signed, key), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

Deno.test("alertmanager: logs in, and its labels do not change while the number grows", () =>
  withStub({ status: 200 }, async (stub) => {
    const receiver = createOne("alertmanager", CASES.alertmanager.definition(stub.url), {});
    assert.equal(receiver.repeatMs, 60_000);
    await receiver.send(noticeOf("began"), never());
    const groups = [{ source: "alerter", count: 9_999, sample: null }];
    await receiver.send(noticeOf("updated", { groups, detail: "9,999 messages" }), never());
    await receiver.send(noticeOf("ended", { groups }), never());
    const labels = stub.requests.map(({ body }) => JSON.stringify(JSON.parse(body)[0].labels));
    assert.equal(new Set(labels).size, 1, labels.join("\n"));
    const password = FILES["/run/secrets/password"]!.trimEnd();
    assert.equal(stub.requests[0]!.headers.authorization, `Basic ${btoa(`user:${password}`)}`);
  }));

Deno.test("alertmanager: an alert for each source, whose labels do not change when another one joins", () =>
  withStub({ status: 200 }, async (stub) => {
    const receiver = createOne("alertmanager", CASES.alertmanager.definition(stub.url), {});
    await receiver.send(
      noticeOf("began", { kind: "gate_closed", cause: "downstream", sources: ["alerter", "moog"] }),
      never(),
    );
    const labels = { team: "ops", alertname: "MuttRemediationGateClosed", severity: "warning", cause: "downstream" };
    assert.deepEqual(
      JSON.parse(stub.requests[0]!.body).map((alert: { labels: unknown }) => alert.labels),
      ["alerter", "moog"].map((source) => ({ ...labels, source })),
    );
  }));

Deno.test("receivers without a console: no link", async () => {
  const notice: Notice = { ...noticeOf("began"), url: null };
  for (const [type, { definition, answer }] of Object.entries(CASES)) {
    await withStub(answer, async (stub) => {
      const files = { "/run/url": `${stub.url}/hook` };
      await createOne(type as "slack", definition(stub.url), files).send(notice, never());
      assert.ok(!/console/i.test(stub.requests[0]!.body), stub.requests[0]!.body);
    });
  }
});

/** The boundary of the parts is the library's. */
const withoutBoundary = (text: string) => text.replaceAll(/--_NmP-\w+-Part_1/g, "BOUNDARY");
const quoted = (text: string) => text.replaceAll("=", "=3D");

for (const event of EVENTS) {
  Deno.test(`email: ${event}`, async () => {
    const server = await startSmtpServer();
    try {
      const receiver = createOne("email", {
        ...{ host: "127.0.0.1", port: server.port, tls: "none", login: null },
        ...{ from: "Remediation <remediation@example.org>", to: ["ops@example.org", "dev@example.org"] },
      }, {});
      await receiver.send(noticeOf(event), never());
      const [mail, ...more] = server.mails;
      assert.deepEqual(more, []);
      assert.deepEqual(mail!.to, ["ops@example.org", "dev@example.org"]);
      assert.equal(mail!.from, "remediation@example.org");
      const first = "<i_0123abcd.ops@example.org>", own = `<${noticeOf(event).id}.ops@example.org>`;
      const thread = event === "updated" || event === "ended" ? `In-Reply-To: ${first}\nReferences: ${first}\n` : "";
      const [head, ...parts] = withoutBoundary(mail!.text).split("--BOUNDARY\n");
      const threaded = head!.replace(/^(?:In-Reply-To|References): .*\n/gm, "");
      assert.equal(
        threaded,
        `Auto-Submitted: auto-generated\nFrom: Remediation <remediation@example.org>\n` +
          `To: ops@example.org, dev@example.org\nSubject: ${TITLE[event]}\n` +
          `Message-ID: ${event === "began" ? first : own}\nDate: Mon, 30 Nov 2026 14:14:05 +0000\n` +
          `MIME-Version: 1.0\nContent-Type: multipart/alternative;\n boundary="BOUNDARY"\n\n`,
      );
      assert.equal([...head!.matchAll(/^(?:In-Reply-To|References): .*\n/gm)].join(""), thread);
      const [plain, html] = parts.map((part) => part.replaceAll("=\n", ""));
      assert.ok(plain!.startsWith("Content-Type: text/plain; charset=utf-8\n"), plain!);
      assert.ok(html!.startsWith("Content-Type: text/html; charset=utf-8\n"), html!);
      assert.ok(plain!.includes(`\n\n${TITLE[event]}\n\n${TEXT[event]}\n\n`), plain!);
      assert.ok(plain!.includes(quoted(LINK[event])) || plain!.includes(LINK[event]), plain!);
      const lines = escapeSlack(TEXT[event]).replaceAll("\n", "<br>\n");
      assert.ok(html!.includes(`<p><strong>${TITLE[event]}</strong></p><p>${lines}</p>`), html!);
      assert.ok(html!.includes(quoted(`<a href="${LINK[event].replaceAll("&", "&amp;")}">`)), html!);
    } finally {
      await server.stop();
    }
  });
}

/** What a message may say, in every text of a notice. */
const HOSTILE =
  "<!channel> <@U1> <script>alert(1)</script> [x](javascript:alert(1)) *b* &amp;\u202e\u2066\u200b\u0000\r\n" +
  `Bcc: evil@example.org\r\n\r\n.\r\nQUIT\r\n${"y".repeat(10_000)}`;
const HOSTILE_NOTICE: Notice = {
  ...noticeOf("began"),
  ...{ title: HOSTILE, text: HOSTILE },
  incident: {
    ...INCIDENT,
    ...{ cause: HOSTILE, detail: HOSTILE, sources: [HOSTILE] },
    groups: [{ source: HOSTILE, count: 1, sample: { id: HOSTILE, text: HOSTILE } }],
  },
};

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

for (const [type, { definition, answer }] of Object.entries(CASES)) {
  Deno.test(`${type}: hostile texts arrive harmless`, () =>
    withStub(answer, async (stub) => {
      const files = { "/run/url": `${stub.url}/hook` };
      await createOne(type as "slack", definition(stub.url), files).send(HOSTILE_NOTICE, never());
      const { body } = stub.requests[0]!;
      assert.ok(body.length < 28_000, "Teams takes 28 KB");
      for (const text of textsOf(JSON.parse(body))) {
        for (const line of text.split("\n")) assert.ok(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line), JSON.stringify(line));
      }
      if (type === "slack") {
        assert.ok(!/<[!@]|<script/.test(body), body);
        const { text, blocks } = JSON.parse(body);
        assert.ok(text.startsWith("&lt;!channel&gt; &lt;@U1&gt; &lt;script&gt;"), text);
        assert.ok(blocks[0].text.text.length <= 150 && blocks[1].text.text.length <= 3_000);
      }
      if (type === "teams") assert.ok(!body.includes('"TextBlock"'), "TextBlock renders Markdown");
    }));
}

Deno.test("email: hostile texts arrive harmless", async () => {
  const server = await startSmtpServer();
  try {
    const receiver = createOne("email", {
      ...{ host: "127.0.0.1", port: server.port, tls: "none", login: null },
      ...{ from: "remediation@example.org", to: ["ops@example.org"] },
    }, {});
    await receiver.send(HOSTILE_NOTICE, never());
    const [mail] = server.mails;
    assert.deepEqual([server.mails.length, mail!.to], [1, ["ops@example.org"]]);
    const [head, ...parts] = withoutBoundary(mail!.text).split("--BOUNDARY\n");
    const names = [...head!.matchAll(/^([\w-]+):/gm)].map(([, name]) => name);
    assert.deepEqual(names, [
      ...["Auto-Submitted", "From", "To", "Subject", "Message-ID", "Date", "MIME-Version", "Content-Type"],
    ]);
    const html = parts[1]!.replaceAll("=\n", "");
    assert.ok(html.includes("&lt;script&gt;alert(1)&lt;/script&gt;"), html);
    assert.ok(!html.includes("<script"), html);
  } finally {
    await server.stop();
  }
});
