/** Receivers over HTTP when the other side refuses, lies, hangs or floods. */
import assert from "node:assert/strict";
import net from "node:net";
import type { ReceiverDefinition, ReceiverType } from "../../src/config/notify.ts";
import { createProxyChoice } from "../../src/config/proxy.ts";
import { type ReceiverError, type ReceiverFailure, SEND_TIMEOUT_MS } from "../../src/notify/receiver.ts";
import { createReceiver } from "../../src/notify/receivers/create.ts";
import type { ReceiverDeps } from "../../src/notify/receivers/deps.ts";
import { type HttpStub, startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";
import { BASE, createReceiverDeps, FILES, hasFileSecret, NOTICE, readFakeFile } from "../../testkit/notify.ts";
import { TestClock } from "../../testkit/test_clock.ts";
import { certificateFiles } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

type HttpType = Exclude<ReceiverType, "email">;

/** The path of the webhooks is a secret. */
const SECRET_PATH = "/Pl4nt3dS3cr3tPath?sig=Pl4nt3dS3cr3tQuery";

const MEMBERS: Readonly<Record<HttpType, (url: string) => Record<string, unknown>>> = {
  slack: () => ({ urlFile: "/run/url" }),
  teams: () => ({ urlFile: "/run/url" }),
  pagerduty: (url) => ({ url, routingKeyFile: "/run/secrets/pager" }),
  webhook: () => ({ address: { urlFile: "/run/url" }, secretFile: "/run/secrets/hook" }),
  alertmanager: (url) => ({ url, labels: {}, login: { username: "u", passwordFile: "/run/secrets/password" } }),
};
const TYPES = Object.keys(MEMBERS) as HttpType[];

function createOne(type: HttpType, url: string, { caFile = null, deps = {} }: {
  caFile?: string | null;
  deps?: Partial<ReceiverDeps>;
} = {}) {
  const readFile = (path: string) =>
    path === "/run/url"
      ? `${url}${SECRET_PATH}`
      : path.startsWith("/run/")
      ? readFakeFile(path)
      : Deno.readTextFileSync(path);
  const made = createReceiverDeps({ readFile, ...deps });
  const definition = { ...BASE, type, caFile, ...MEMBERS[type](url) } as unknown as ReceiverDefinition;
  return { receiver: createReceiver(definition, made), lines: made.lines };
}

async function failureOf(sending: Promise<void>): Promise<ReceiverError> {
  const error = await sending.then(() => null, (error) => error);
  assert.ok(error !== null, "it was taken");
  assert.equal(error.name, "ReceiverError", String(error?.stack));
  assert.ok(!hasFileSecret(`${error.stack}${Deno.inspect(error)}`), error.message);
  return error;
}

async function withStub(body: (stub: HttpStub) => Promise<void>): Promise<void> {
  const stub = await startHttpStub();
  try {
    await body(stub);
  } finally {
    await stub.stop();
  }
}

const never = () => new AbortController().signal;
const SECRET = "Pl4nt3dS3cr3tPath";

/** Answers that are failures for every type. */
const ANSWERS: readonly [what: string, answer: StubAnswer, code: ReceiverFailure, retryable: boolean][] = [
  ["400", { status: 400, body: `bad ${SECRET}` }, "refused", false],
  ["401", { status: 401, body: SECRET }, "unauthorized", false],
  ["403", { status: 403 }, "unauthorized", false],
  ["404", { status: 404, body: "no_service" }, "gone", false],
  ["410", { status: 410 }, "gone", false],
  ["413", { status: 413 }, "too_large", false],
  ["422", { status: 422 }, "refused", false],
  ["429", { status: 429, headers: { "retry-after": "30" } }, "rate_limited", true],
  ["500", { status: 500, body: SECRET }, "unavailable", true],
  ["503", { status: 503 }, "unavailable", true],
  ["a redirect", { status: 302, headers: { location: "http://127.0.0.1:1/elsewhere" } }, "redirected", false],
  ["a redirect that keeps the method", { status: 307, headers: { location: "/other" } }, "redirected", false],
  ["no answer", { fault: "close" }, "unreachable", true],
  ["a broken connection", { fault: "reset" }, "unreachable", true],
  ["no HTTP", { fault: "garbage" }, "unreachable", true],
];

for (const type of TYPES) {
  for (const [what, answer, code, retryable] of ANSWERS) {
    Deno.test(`${type}: ${what} is ${code}`, () =>
      withStub(async (stub) => {
        stub.answer(answer);
        const { receiver, lines } = createOne(type, stub.url);
        const error = await failureOf(receiver.send(NOTICE, never()));
        assert.deepEqual([error.code, error.retryable], [code, retryable], error.message);
        assert.equal(error.retryAfterMs, what === "429" ? 30_000 : null);
        assert.ok(error.message.includes(`127.0.0.1:${stub.port}`), error.message);
        assert.equal(stub.requests.length, 1, "a redirect was followed, or it was tried again");
        assert.deepEqual(lines, []);
      }));
  }
}

Deno.test("slack: its one-word reason is shown", () =>
  withStub(async (stub) => {
    stub.answer({ status: 404, body: "channel_is_archived\n" });
    const { message } = await failureOf(createOne("slack", stub.url).receiver.send(NOTICE, never()));
    assert.equal(message, `127.0.0.1:${stub.port} answered 404 (channel_is_archived)`);
  }));

/** Answers 2xx that no healthy receiver gives. */
const LIES: Readonly<Record<HttpType, readonly StubAnswer[]>> = {
  slack: [{ status: 200, body: "<html>Please log in</html>" }, { status: 200 }, { status: 204 }, {
    status: 202,
    body: "ok",
  }],
  teams: [
    {
      status: 200,
      body: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
    },
    { status: 200, body: "<html>" },
    { status: 204 },
  ],
  pagerduty: [
    { status: 200, body: '{"status":"success"}' },
    { status: 202 },
    { status: 202, body: '{"status":"invalid event"}' },
    { status: 202, body: "null" },
  ],
  webhook: [],
  alertmanager: [{ status: 200, body: "<html>Please log in</html>" }, { status: 202 }],
};

for (const type of TYPES) {
  for (const [number, answer] of LIES[type].entries()) {
    Deno.test(`${type}: does not believe a portal, or an answer that is not its own (${number})`, () =>
      withStub(async (stub) => {
        stub.answer(answer);
        const error = await failureOf(createOne(type, stub.url).receiver.send(NOTICE, never()));
        assert.deepEqual([error.code, error.retryable], ["lied", true], error.message);
      }));
  }
}

const HEALTHY: Readonly<Record<HttpType, readonly StubAnswer[]>> = {
  slack: [{ status: 200, body: "ok" }],
  teams: [{ status: 202 }, { status: 200, body: "1" }],
  pagerduty: [{ status: 202, body: '{"status":"success"}' }],
  webhook: [{ status: 200 }, { status: 201, body: "<html>" }, { status: 204 }],
  alertmanager: [{ status: 200 }],
};

for (const type of TYPES) {
  Deno.test(`${type}: believes a healthy answer`, () =>
    withStub(async (stub) => {
      for (const answer of HEALTHY[type]) {
        stub.answer(answer);
        await createOne(type, stub.url).receiver.send(NOTICE, never());
      }
    }));

  for (const fault of ["hang", "hang_in_headers", "hang_in_body"] as const) {
    Deno.test(`${type}: gives up when the other side hangs (${fault})`, () =>
      withStub(async (stub) => {
        stub.answer({ fault });
        const clock = new TestClock();
        const { receiver } = createOne(type, stub.url, { deps: { clock } });
        const failing = failureOf(receiver.send(NOTICE, never()));
        await waitUntil(() => stub.requests.length === 1, { what: "the request is there" });
        await clock.advance(SEND_TIMEOUT_MS);
        const error = await failing;
        assert.deepEqual([error.code, error.retryable], ["timeout", true], error.message);
        await waitUntil(() => stub.connections === 0, { what: "the connection is closed" });
      }));
  }

  for (const fault of ["endless", "gigabyte"] as const) {
    Deno.test(`${type}: reads little of an answer without end (${fault})`, () =>
      withStub(async (stub) => {
        stub.answer({ fault, status: 500 });
        const error = await failureOf(createOne(type, stub.url).receiver.send(NOTICE, never()));
        assert.equal(error.code, "unavailable");
        await waitUntil(() => stub.connections === 0, { what: "the connection is closed" });
        assert.ok(stub.endlessBytes < 16_000_000, String(stub.endlessBytes));
      }));
  }

  Deno.test(`${type}: nobody listens`, async () => {
    const { receiver } = createOne(type, `http://127.0.0.1:${freePort()}`);
    assert.equal((await failureOf(receiver.send(NOTICE, never()))).code, "unreachable");
  });

  Deno.test(`${type}: ends when the service stops, and when it is closed`, () =>
    withStub(async (stub) => {
      stub.answer({ fault: "hang" });
      const stopping = new AbortController(), { receiver } = createOne(type, stub.url);
      const stopped = failureOf(receiver.send(NOTICE, stopping.signal));
      await waitUntil(() => stub.requests.length === 1, { what: "the request is there" });
      stopping.abort();
      assert.deepEqual([(await stopped).code, (await stopped).retryable], ["aborted", true]);
      const closed = failureOf(receiver.send(NOTICE, never()));
      await waitUntil(() => stub.requests.length === 2, { what: "the second request is there" });
      receiver.close();
      receiver.close();
      assert.equal((await closed).code, "aborted");
      assert.equal((await failureOf(receiver.send(NOTICE, never()))).code, "aborted");
      assert.equal(stub.requests.length, 2, "a closed receiver sent");
    }));
}

Deno.test("an answer that trickles, a byte at a time, is given up too", async () => {
  let isOpen = true;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("close", () => isOpen = false);
    socket.on("data", () => {});
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    const trickle = (): void => void (isOpen && socket.write(".", () => setTimeout(trickle, 1)));
    trickle();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const clock = new TestClock(), { port } = server.address() as net.AddressInfo;
    const { receiver } = createOne("slack", `http://127.0.0.1:${port}`, { deps: { clock } });
    let isSettled = false;
    const failing = failureOf(receiver.send(NOTICE, never())).finally(() => isSettled = true);
    for (let i = 0; i < 14; i++) await clock.advance(500);
    assert.equal(isSettled, false);
    await clock.advance(SEND_TIMEOUT_MS);
    assert.equal((await failing).code, "timeout");
    await waitUntil(() => !isOpen, { what: "the connection is closed" });
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
});

const RETRY_AFTER: readonly [header: string, ms: number | null][] = [
  ["0", null],
  ["1", 1_000],
  [" 120 ", 120_000],
  ["999999999", 3_600_000],
  ["1.5", null],
  ["-5", null],
  ["soon", null],
  ["Thu, 01 Jan 1970 00:00:00 GMT", null],
  ["Fri, 31 Dec 9999 23:59:59 GMT", 3_600_000],
];

for (const [header, ms] of RETRY_AFTER) {
  Deno.test(`Retry-After: ${header}`, () =>
    withStub(async (stub) => {
      stub.answer({ status: 429, headers: { "retry-after": header } });
      assert.equal((await failureOf(createOne("slack", stub.url).receiver.send(NOTICE, never()))).retryAfterMs, ms);
    }));
}

/** A server with a certificate for 127.0.0.1. */
function startTls(certificate: "localhost" | "elsewhere", body: string) {
  const { cert, key } = certificateFiles(certificate);
  const options = {
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(cert),
    key: Deno.readTextFileSync(key),
  };
  return Deno.serve({ ...options, onListen() {} }, () => new Response(body));
}

Deno.test("caFile: an authority of one's own is trusted, and is needed", async () => {
  const server = startTls("localhost", "ok"), url = `https://127.0.0.1:${server.addr.port}`;
  try {
    const { authority } = certificateFiles("localhost");
    await createOne("slack", url, { caFile: authority }).receiver.send(NOTICE, never());
    const untrusted = await failureOf(createOne("slack", url).receiver.send(NOTICE, never()));
    assert.deepEqual([untrusted.code, untrusted.retryable], ["tls", true]);
    const other = certificateFiles("elsewhere").authority;
    assert.equal(
      (await failureOf(createOne("slack", url, { caFile: other }).receiver.send(NOTICE, never()))).code,
      "tls",
    );
    const broken = await failureOf(
      createOne("slack", url, { caFile: "/run/secrets/slack" }).receiver.send(NOTICE, never()),
    );
    assert.equal(broken.code, "secret_file");
  } finally {
    await server.shutdown();
  }
});

Deno.test("a certificate of another name is not trusted", async () => {
  const server = startTls("elsewhere", "ok"), { authority } = certificateFiles("elsewhere");
  try {
    const { receiver } = createOne("slack", `https://127.0.0.1:${server.addr.port}`, { caFile: authority });
    assert.match((await failureOf(receiver.send(NOTICE, never()))).message, /TLS failed \(wrong_name\)/);
  } finally {
    await server.shutdown();
  }
});

Deno.test("a plain server where TLS is expected", () =>
  withStub(async (stub) => {
    const { receiver } = createOne("slack", stub.url.replace("http:", "https:"));
    assert.equal((await failureOf(receiver.send(NOTICE, never()))).code, "tls");
  }));

/** A proxy that notes what it is asked for, and refuses. */
async function startProxy() {
  const asked: string[] = [];
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (part: Uint8Array) => {
      asked.push(new TextDecoder().decode(part).split("\r\n")[0]!);
      socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return { asked, port, stop: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

Deno.test("HTTPS_PROXY is used, and its user and password are not shown", async () => {
  const proxy = await startProxy();
  try {
    const chooseProxy = createProxyChoice({
      ...{ httpProxy: "", allProxy: "", noProxy: "" },
      httpsProxy: `http://user:Pl4nt3dS3cr3t@127.0.0.1:${proxy.port}`,
    });
    const { receiver } = createOne("slack", "https://hooks.slack.example", { deps: { chooseProxy } });
    const error = await failureOf(receiver.send(NOTICE, never()));
    assert.equal(error.code, "proxy", error.message);
    assert.deepEqual(proxy.asked, ["CONNECT hooks.slack.example:443 HTTP/1.1"]);
  } finally {
    await proxy.stop();
  }
});

Deno.test("a secret that is renewed is used at once; one that is broken is logged once, and the last good one stays", () =>
  withStub(async (stub) => {
    stub.answer({ status: 200, body: "ok" });
    const file = { text: `${stub.url}/first` };
    const { receiver, lines } = createOne("slack", "", {
      deps: {
        readFile: () => {
          if (file.text === "gone") throw Object.assign(new Error("x"), { name: "NotFound" });
          return file.text;
        },
      },
    });
    const targets = async () => {
      await receiver.send(NOTICE, never());
      return stub.requests.at(-1)!.target;
    };
    assert.equal(await targets(), "/first");
    file.text = `${stub.url}/second\n`;
    assert.equal(await targets(), "/second");
    for (const broken of ["", "", "no URL", "gone", "gone"]) {
      file.text = broken;
      assert.equal(await targets(), "/second");
    }
    file.text = `${stub.url}/second`;
    assert.equal(await targets(), "/second");
    file.text = "";
    assert.equal(await targets(), "/second");
    const what = 'receivers.ops.urlFile "/run/url"', stays = "The previous content stays in use";
    assert.deepEqual(lines.map(({ level, event, message }) => [level, event, message]), [
      ["INFO", "file_renewed", `${what}: the file has changed and was reread`],
      ["WARNING", "file_not_renewed", `${what} is empty. ${stays}`],
      ["WARNING", "file_not_renewed", `${what} does not hold one https:// URL. ${stays}`],
      ["WARNING", "file_not_renewed", `${what} cannot be read: NotFound. ${stays}`],
      ["WARNING", "file_not_renewed", `${what} is empty. ${stays}`],
    ]);
  }));

Deno.test("a secret that was never there is a failure that may pass", async () => {
  const { receiver, lines } = createOne("slack", "", {
    deps: {
      readFile: () => {
        throw Object.assign(new Error(FILES["/run/secrets/slack"]), { name: "PermissionDenied" });
      },
    },
  });
  const error = await failureOf(receiver.send(NOTICE, never()));
  assert.deepEqual([error.code, error.retryable], ["secret_file", true]);
  assert.equal(error.message, 'receivers.ops.urlFile "/run/url" cannot be read: PermissionDenied');
  assert.deepEqual(lines, []);
});
