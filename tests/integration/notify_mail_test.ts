/** Mail over real SMTP: encryption, login, and servers that refuse, hang, break off or lie. */
import assert from "node:assert/strict";
import type { EmailDefinition } from "../../src/config/notify.ts";
import { type ReceiverError, type ReceiverFailure, SEND_TIMEOUT_MS } from "../../src/notify/receiver.ts";
import { createReceiver } from "../../src/notify/receivers/create.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import { BASE, createReceiverDeps, FILES, hasFileSecret, NOTICE, readFakeFile } from "../../testkit/notify.ts";
import { type SmtpOptions, type SmtpScript, startScriptedSmtp, startSmtpServer } from "../../testkit/smtp.ts";
import { TestClock } from "../../testkit/test_clock.ts";
import { certificateFiles } from "../../testkit/tls.ts";
import { waitUntil } from "../../testkit/wait.ts";

const PASSWORD = FILES["/run/secrets/password"]!.trimEnd();
const LOGIN = { username: "user", passwordFile: "/run/secrets/password" };
const { authority: CA } = certificateFiles("localhost");
const never = () => new AbortController().signal;

function createMail(port: number, members: Partial<EmailDefinition> = {}, clock?: Clock) {
  const readFile = (path: string) => path.startsWith("/run/") ? readFakeFile(path) : Deno.readTextFileSync(path);
  const deps = createReceiverDeps({ readFile, ...(clock ? { clock } : {}) });
  return createReceiver({
    ...{ ...BASE, type: "email", host: "127.0.0.1", port, tls: "none", login: null },
    ...{ from: "remediation@example.org", to: ["ops@example.org"], ...members },
  }, deps);
}

async function failureOf(sending: Promise<void>): Promise<ReceiverError> {
  const error = await sending.then(() => null, (error) => error);
  assert.ok(error !== null, "it was taken");
  assert.equal(error.name, "ReceiverError", String(error?.stack));
  const shown = `${error.stack}${Deno.inspect(error)}`;
  assert.ok(!hasFileSecret(shown) && !shown.includes(btoa(`\0user\0${PASSWORD}`)), error.message);
  return error;
}

async function withServer(
  options: SmtpOptions,
  body: (server: Awaited<ReturnType<typeof startSmtpServer>>) => Promise<void>,
): Promise<void> {
  const server = await startSmtpServer(options);
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

for (const tls of ["none", "starttls", "implicit"] as const) {
  for (const host of ["127.0.0.1", "localhost"]) {
    Deno.test(`email: is sent with tls ${tls} and a login to ${host}`, () =>
      withServer({ tls, password: PASSWORD }, async (server) => {
        const caFile = tls === "none" ? null : CA;
        await createMail(server.port, { tls, host, login: LOGIN, caFile }).send(NOTICE, never());
        const [mail] = server.mails;
        assert.deepEqual([server.mails.length, mail!.user, mail!.isEncrypted], [1, "user", tls !== "none"]);
      }));
  }

  Deno.test(`email: a wrong password with tls ${tls} is not tried again, and is not shown, though the server repeats it`, () =>
    withServer({ tls, password: "another" }, async (server) => {
      const caFile = tls === "none" ? null : CA;
      const error = await failureOf(createMail(server.port, { tls, login: LOGIN, caFile }).send(NOTICE, never()));
      assert.deepEqual([error.code, error.retryable], ["unauthorized", false]);
      assert.equal(
        error.message,
        `127.0.0.1:${server.port} did not accept username and password, or wants a login (535 5.7.8 to AUTH PLAIN)`,
      );
      assert.deepEqual(server.mails, []);
    }));
}

for (const tls of ["starttls", "implicit"] as const) {
  Deno.test(`email: an unknown authority with tls ${tls} gets neither password nor mail`, () =>
    withServer({ tls, password: PASSWORD }, async (server) => {
      const others = [null, certificateFiles("elsewhere").authority];
      for (const caFile of others) {
        const error = await failureOf(createMail(server.port, { tls, login: LOGIN, caFile }).send(NOTICE, never()));
        assert.deepEqual([error.code, error.retryable], ["tls", true], error.message);
      }
      assert.deepEqual(server.mails, []);
    }));
}

Deno.test("email: a server without STARTTLS gets neither password nor mail", () =>
  withServer({ tls: "none", password: PASSWORD }, async (server) => {
    const error = await failureOf(
      createMail(server.port, { tls: "starttls", login: LOGIN, caFile: CA }).send(NOTICE, never()),
    );
    assert.deepEqual([error.code, error.retryable, server.mails.length], ["tls", true, 0], error.message);
  }));

Deno.test("email: a server that wants a login says so", () =>
  withServer({ password: PASSWORD }, async (server) => {
    assert.equal((await failureOf(createMail(server.port).send(NOTICE, never()))).code, "unauthorized");
  }));

Deno.test("email: a notice too large for the server", () =>
  withServer({ maxBytes: 100 }, async (server) => {
    const error = await failureOf(createMail(server.port).send(NOTICE, never()));
    assert.deepEqual([error.code, error.retryable], ["too_large", false], error.message);
  }));

Deno.test("email: greylisted, then taken: the same Message-ID", () => {
  const refuse = new Map([["ops@example.org", { code: 451, text: "4.7.1 try again" }]]);
  return withServer({ refuse }, async (server) => {
    const receiver = createMail(server.port);
    const error = await failureOf(receiver.send(NOTICE, never()));
    assert.deepEqual([error.code, error.retryable], ["unavailable", true]);
    assert.equal(error.message, `127.0.0.1:${server.port} does not take the mail now (451 4.7.1 to RCPT TO)`);
    refuse.clear();
    await receiver.send(NOTICE, never());
    await receiver.send(NOTICE, never());
    const ids = server.mails.map(({ text }) => /^Message-ID: (.*)$/m.exec(text)?.[1]);
    assert.deepEqual(ids, ["<i_0123abcd.ops@example.org>", "<i_0123abcd.ops@example.org>"]);
  });
});

Deno.test("email: who has got a notice does not get it again when the others are tried again", () => {
  const to = ["a@example.org", "b@example.org", "c@example.org"];
  const refuse = new Map([["b@example.org", { code: 450, text: "busy" }]]);
  return withServer({ refuse }, async (server) => {
    const receiver = createMail(server.port, { to });
    for (let tries = 0; tries < 2; tries++) {
      const error = await failureOf(receiver.send(NOTICE, never()));
      assert.deepEqual([error.code, error.retryable], ["unavailable", true], error.message);
    }
    refuse.clear();
    await receiver.send(NOTICE, never());
    assert.deepEqual(server.mails.map((mail) => mail.to), [["a@example.org", "c@example.org"], ["b@example.org"]]);
    await receiver.send({ ...NOTICE, id: "n_2" }, never());
    assert.deepEqual(server.mails.at(-1)!.to, to);
  });
});

Deno.test("email: an unknown recipient among others is told, and not tried again", () => {
  const refuse = new Map([["b@example.org", { code: 550, text: "5.1.1 unknown Pl4nt3dS3cr3t" }]]);
  return withServer({ refuse }, async (server) => {
    const error = await failureOf(
      createMail(server.port, { to: ["a@example.org", "b@example.org"] }).send(NOTICE, never()),
    );
    assert.deepEqual([error.code, error.retryable, server.mails.length], ["refused", false, 1]);
    assert.equal(error.message, `127.0.0.1:${server.port} took the mail for 1, and refused 1`);
  });
});

const DATA_REPLIES: readonly [code: number, failure: ReceiverFailure, retryable: boolean][] = [
  ...[421, 450, 451, 452].map((code) => [code, "unavailable", true] as [number, ReceiverFailure, boolean]),
  ...[550, 554].map((code) => [code, "refused", false] as [number, ReceiverFailure, boolean]),
  [552, "too_large", false],
  [530, "unauthorized", false],
];

for (const [code, failure, retryable] of DATA_REPLIES) {
  Deno.test(`email: ${code} to the mail is ${failure}`, () =>
    withServer({ data: { code, text: "5.6.0 Pl4nt3dS3cr3t" } }, async (server) => {
      const error = await failureOf(createMail(server.port).send(NOTICE, never()));
      assert.deepEqual([error.code, error.retryable], [failure, retryable], error.message);
    }));
}

/** A server that does as it should, for scripts that misbehave later. */
const obey: SmtpScript = (line) => {
  if (/^EHLO/.test(line)) return "250 8BITMIME";
  if (/^(MAIL|RCPT)/.test(line)) return "250 OK";
  if (/^DATA/.test(line)) return "354 go on";
  if (line === ".") return "250 taken";
  return /^QUIT/.test(line) ? "221 bye" : null;
};
const unless = (start: RegExp, reply: ReturnType<SmtpScript>): SmtpScript => (line) =>
  start.test(line) ? reply : obey(line);

const LIARS: readonly [
  what: string,
  greeting: string | null | "close",
  script: SmtpScript,
  code: ReceiverFailure,
  members?: Partial<EmailDefinition>,
][] = [
  ["closes at once", "close", obey, "unreachable"],
  ["speaks HTTP", "HTTP/1.1 400 Bad Request", obey, "lied"],
  ["is too busy", "421 4.3.2 later", obey, "unavailable"],
  ["wants no clients", "554 go away", obey, "refused"],
  ["closes after EHLO", "220 hi", unless(/^EHLO/, "close"), "unreachable"],
  ["closes before the end of the mail", "220 hi", unless(/^\.$/, "close"), "unreachable"],
  ["says nonsense to MAIL", "220 hi", unless(/^MAIL/, "what?"), "refused"],
  ["lets nobody in for now", "220 hi", unless(/^MAIL/, "451 later"), "unavailable"],
  ["asks for a login", "220 hi", unless(/^MAIL/, "530 5.7.0 log in"), "unauthorized"],
  ["offers STARTTLS and refuses it", "220 hi", (line) => /^EHLO/.test(line) ? "250 STARTTLS" : "454 no", "tls", {
    ...{ tls: "starttls", caFile: CA, login: LOGIN },
  }],
  ["has no TLS", "220 hi", obey, "tls", { tls: "implicit", caFile: CA, login: LOGIN }],
  [
    "cannot check passwords now",
    "220 hi",
    (line) => /^EHLO/.test(line) ? "250 AUTH PLAIN" : "454 4.7.0 later",
    "unavailable",
    { login: LOGIN },
  ],
  [
    "repeats the password",
    "220 hi",
    (line) => /^EHLO/.test(line) ? "250 AUTH PLAIN" : `535 5.7.8 ${line} ${PASSWORD}`,
    "unauthorized",
    { login: LOGIN },
  ],
  ["wants a mail before it knows for whom", "220 hi", unless(/^MAIL/, "354 go on"), "lied"],
  ["answers a reply without end", `220-${"x".repeat(100_000)}`, obey, "lied"],
];

for (const [what, greeting, script, code, members] of LIARS) {
  Deno.test(`email: a server that ${what} is ${code}`, async () => {
    const server = await startScriptedSmtp({ greeting, script });
    try {
      const error = await failureOf(createMail(server.port, members).send(NOTICE, never()));
      assert.equal(error.code, code, error.message);
      if (members?.tls) assert.ok(!server.lines.some((line) => /^AUTH/.test(line)), "the password went in clear");
    } finally {
      await server.stop();
    }
  });
}

Deno.test("email: a server that takes the mail and then says nothing has taken it", async () => {
  const server = await startScriptedSmtp({ greeting: "220 hi", script: unless(/^QUIT/, null) });
  try {
    const clock = new TestClock(), sending = createMail(server.port, {}, clock).send(NOTICE, never());
    await waitUntil(() => server.lines.includes("QUIT"), { what: "the mail is there" });
    await clock.advance(2_000);
    await sending;
  } finally {
    await server.stop();
  }
});

const HANGS: readonly [
  what: string,
  greeting: string | null,
  script: SmtpScript,
  members?: Partial<EmailDefinition>,
][] = [
  ["at once", null, obey],
  ["after EHLO", "220 hi", unless(/^EHLO/, null)],
  ["after the mail", "220 hi", unless(/^\.$/, null)],
  ["in the handshake", "220 hi", (line) => /^EHLO/.test(line) ? "250 STARTTLS" : "220 go on", {
    ...{ tls: "starttls", caFile: CA, login: LOGIN },
  }],
  ["in half of a reply", "220 hi", unless(/^MAIL/, "250-")],
  ["in a greeting that goes on and on", "220-hi\r\n220-hi", obey],
];

for (const [what, greeting, script, members = {}] of HANGS) {
  Deno.test(`email: gives up when the server hangs ${what}`, async () => {
    const server = await startScriptedSmtp({ greeting, script });
    try {
      const clock = new TestClock(), failing = failureOf(createMail(server.port, members, clock).send(NOTICE, never()));
      // Before EHLO the server hears nothing: when the time is up, the connection may not even be open.
      const isHanging = () => greeting !== "220 hi" || server.lines.length > 0;
      await waitUntil(isHanging, { what: "it is connected" });
      await clock.advance(SEND_TIMEOUT_MS);
      const error = await failing;
      assert.deepEqual([error.code, error.retryable], ["timeout", true], error.message);
    } finally {
      await server.stop();
    }
  });
}

Deno.test("email: ends when the service stops, and when it is closed", async () => {
  const server = await startScriptedSmtp({ greeting: "220 hi", script: () => null });
  try {
    const stopping = new AbortController(), receiver = createMail(server.port);
    const stopped = failureOf(receiver.send(NOTICE, stopping.signal));
    await waitUntil(() => server.lines.length === 1, { what: "it is connected" });
    stopping.abort();
    assert.equal((await stopped).code, "aborted");
    const closed = failureOf(receiver.send(NOTICE, never()));
    await waitUntil(() => server.lines.length === 2, { what: "it is connected again" });
    receiver.close();
    assert.equal((await closed).code, "aborted");
  } finally {
    await server.stop();
  }
});

Deno.test("email: nobody listens", async () => {
  const { port, stop } = await startScriptedSmtp({ greeting: null, script: obey });
  await stop();
  assert.equal((await failureOf(createMail(port).send(NOTICE, never()))).code, "unreachable");
});
