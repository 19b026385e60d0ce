/** The command line as a client: services that break off, hang or have a private authority, and proxies on the way. */
import assert from "node:assert/strict";
import { type Printed, runCommand } from "../../testkit/cli.ts";
import { type HttpStub, startHttpStub, type StubAnswer } from "../../testkit/http_stub.ts";
import { certificateFiles } from "../../testkit/tls.ts";

const KEY = "mrk_0123456789012345678901234567890123456789";
const ROW = '{"kind":"row","place":1,"id":"m_0123456789abcdef","ageMs":null,"sizeBytes":1,"reason":null,' +
  '"failures":0,"group":"g_0123456789ab","shown":{}}';
const JOBS = '{"jobs":[]}';

/** Runs a command against `url`. */
function run(url: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Printed> {
  return runCommand(args, { REMEDIATION_URL: url, REMEDIATION_API_KEY: KEY, ...env });
}

/** Answers each connection with these bytes and closes it. */
function startRaw(text: string): { readonly url: string } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(65_536)).catch(() => {});
      await connection.write(new TextEncoder().encode(text)).catch(() => {});
      connection.close();
    }
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

/** A server that always gives this answer. */
async function startStub(answer: StubAnswer): Promise<HttpStub & AsyncDisposable> {
  const stub = await startHttpStub();
  stub.answer(answer);
  return Object.assign(stub, { [Symbol.asyncDispose]: () => stub.stop() });
}

const STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
const SEARCH = ["dlq", "search", "--source", "alerter"];

Deno.test("client: a stream that breaks off ends with 69, and its last item says so", async () => {
  const chunk = `${ROW}\n`;
  await using broken = startRaw(`${STREAM_HEAD}${chunk.length.toString(16)}\r\n${chunk}\r\n`);
  const json = await run(broken.url, [...SEARCH, "--json"]);
  const [row, end, ...more] = JSON.parse(json.out);
  assert.deepEqual([json.code, row.kind, end.error.code, more], [69, "row", null, []]);
  assert.match(json.err, /^error: Cannot ask http:.*: the connection broke or failed\n$/);
  const lines = await run(broken.url, [...SEARCH, "--ndjson"]);
  assert.deepEqual([lines.code, lines.err], [69, json.err]);
  assert.deepEqual(lines.out.trimEnd().split("\n").map((line) => JSON.parse(line)), [row, end]);
  const text = await run(broken.url, SEARCH);
  assert.deepEqual([text.code, text.err, text.out.includes("messages found")], [69, json.err, false]);
});

Deno.test("client: an error that the service reports within a stream ends with its code", async () => {
  const chunk = `${ROW}\n{"error":{"code":"unavailable","detail":"Redis is not connected"}}\n`;
  await using broken = startRaw(`${STREAM_HEAD}${chunk.length.toString(16)}\r\n${chunk}\r\n0\r\n\r\n`);
  const { code, out, err } = await run(broken.url, [...SEARCH, "--json"]);
  assert.deepEqual([code, err], [69, "error: Redis is not connected\n"]);
  assert.deepEqual(JSON.parse(out)[1], { error: { code: "unavailable", detail: "Redis is not connected" } });
});

Deno.test("client: a service that refuses a stream leaves standard output empty", async () => {
  const problem = '{"code":"forbidden","title":"Forbidden","detail":"no"}';
  await using refusing = startRaw(
    `HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\ncontent-length: ${problem.length}\r\n\r\n${problem}`,
  );
  const { code, out, err } = await run(refusing.url, [...SEARCH, "--json"]);
  assert.deepEqual([code, out, err], [77, "", "error: no\n"]);
});

Deno.test("client: a refusal that names a flag says why too", async () => {
  const problem = JSON.stringify({
    ...{ code: "stale", title: "It has changed", detail: "the plan took 7 messages, and now it would take 9" },
    problems: [{ field: "allowChange", in: "body", value: 0, wanted: "at least 2" }],
  });
  await using refusing = startRaw(
    `HTTP/1.1 412 Precondition Failed\r\ncontent-type: application/problem+json\r\ncontent-length: ${problem.length}\r\n\r\n${problem}`,
  );
  const { code, err } = await run(refusing.url, ["jobs", "confirm", "ID", "--source", "alerter"]);
  assert.deepEqual([code, err], [
    1,
    "error: the plan took 7 messages, and now it would take 9 (--allow-change 0: at least 2)\n",
  ]);
});

Deno.test("client: a service that accepts and never answers is given up once, after --timeout", async () => {
  const hung = await startStub({ fault: "hang" });
  await using _ = hung;
  const { code, err } = await run(hung.url, ["jobs", "list", "--timeout", "1s"]);
  assert.deepEqual([code, err], [69, `error: ${hung.url} gave no answer within 1 s\n`]);
  assert.equal(hung.requests.length, 1);
  const bad = await run(hung.url, ["jobs", "list", "--timeout", "soon"]);
  assert.deepEqual([bad.code, /--timeout "soon" is not a duration/.test(bad.err)], [78, true], bad.err);
});

Deno.test("client: a key file that holds no key ends with 78, and shows nothing of it", async () => {
  const file = Deno.makeTempFileSync();
  try {
    for (
      const [text, err] of [["", /is empty/], ["two words\n", /is not a key/], ["\x00\x01", /is not a key/]] as const
    ) {
      Deno.writeTextFileSync(file, text);
      const printed = await runCommand(["jobs", "list", "--url", "http://127.0.0.1:1", "--key-file", file], {});
      assert.deepEqual([printed.code, err.test(printed.err)], [78, true], printed.err);
      assert.ok(!printed.err.includes("two words"));
    }
  } finally {
    Deno.removeSync(file);
  }
});

/** An API behind TLS, with this certificate. */
function startTls(certificate: "localhost" | "elsewhere"): { readonly port: number } & AsyncDisposable {
  const { cert, key } = certificateFiles(certificate);
  const server = Deno.serve({
    ...{ hostname: "127.0.0.1", port: 0, onListen: () => {} },
    ...{ cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) },
  }, ({ headers }) => {
    assert.equal(headers.get("x-api-key"), KEY);
    return new Response(JOBS, { headers: { "content-type": "application/json" } });
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("client: trusts a private authority by flag or variable, and says what is missing without", async () => {
  await using server = startTls("localhost");
  const url = `https://localhost:${server.port}`, { authority } = certificateFiles("localhost");
  const without = await run(url, ["jobs", "list"]);
  assert.equal(without.code, 69);
  assert.match(without.err, /its certificate is of an authority that is not trusted: .* --ca-cert/);
  assert.equal((await run(url, ["jobs", "list", "--ca-cert", authority])).out, "No jobs\n");
  assert.equal((await run(url, ["jobs", "list"], { REMEDIATION_CA_CERT_PATH: authority })).out, "No jobs\n");
  const { authority: other, key } = certificateFiles("elsewhere");
  const wrong = await run(url, ["jobs", "list", "--ca-cert", other]);
  assert.deepEqual([wrong.code, /not trusted/.test(wrong.err)], [69, true], wrong.err);
  for (
    const [file, err] of [["/nowhere", /--ca-cert "\/nowhere" cannot be read: NotFound/], [
      key,
      /has no PEM cert/,
    ]] as const
  ) {
    const { code, err: told } = await run(url, ["jobs", "list", "--ca-cert", file]);
    assert.deepEqual([code, err.test(told)], [78, true], told);
  }
});

Deno.test("client: goes through HTTP_PROXY, but not to where NO_PROXY says or to loopback", async () => {
  const proxy = await startStub({
    status: 200,
    headers: { "content-type": "application/json" },
    body: JOBS,
  });
  await using _ = proxy;
  const env = { HTTP_PROXY: proxy.url }, url = "http://remediation.invalid:8088";
  assert.equal((await run(url, ["jobs", "list"], env)).out, "No jobs\n");
  assert.equal(proxy.requests[0]!.target, "http://remediation.invalid:8088/api/v1/jobs");
  const direct = await run(url, ["jobs", "list"], { ...env, NO_PROXY: ".invalid" });
  assert.deepEqual([direct.code, /the name has no address/.test(direct.err)], [69, true], direct.err);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }), { port } = listener.addr;
  listener.close();
  const loopback = await run(`http://127.0.0.1:${port}`, ["jobs", "list"], env);
  assert.match(loopback.err, /nothing listens there/);
  assert.equal(proxy.requests.length, 1);
});

Deno.test("client: goes through HTTPS_PROXY by CONNECT, with TLS to the service itself", async () => {
  await using server = startTls("elsewhere");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }), asked: string[] = [];
  const tunnels: Promise<unknown>[] = [];
  const serving = (async () => {
    for await (const client of listener) {
      tunnels.push((async () => {
        const part = new Uint8Array(4_096), count = await client.read(part) ?? 0;
        asked.push(new TextDecoder().decode(part.subarray(0, count)).split("\r\n")[0]!);
        await client.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"));
        const there = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
        await Promise.allSettled([client.readable.pipeTo(there.writable), there.readable.pipeTo(client.writable)]);
      })());
    }
  })();
  try {
    const { authority } = certificateFiles("elsewhere");
    const env = { HTTPS_PROXY: `127.0.0.1:${listener.addr.port}`, REMEDIATION_CA_CERT_PATH: authority };
    const { out, err } = await run("https://elsewhere.example", ["jobs", "list"], env);
    assert.equal(out, "No jobs\n", err);
    assert.deepEqual(asked, ["CONNECT elsewhere.example:443 HTTP/1.1"]);
  } finally {
    listener.close();
    await serving;
    await Promise.allSettled(tunnels);
  }
});
