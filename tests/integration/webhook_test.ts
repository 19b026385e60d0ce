/** Why a webhook cannot be reached, as real listeners, certificates and proxies bring it about. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import net from "node:net";
import { type FetchOutcome, fetchStatus } from "../../src/runtime/bounded_fetch.ts";
import { SYSTEM_CLOCK } from "../../src/runtime/clock.ts";
import { startHttpStub } from "../../testkit/http_stub.ts";
import { freePort } from "../../scripts/free_port.ts";

const FOLDER = new URL("../../testkit/tls/", import.meta.url);
const read = (file: string) => Deno.readTextFileSync(new URL(file, FOLDER));

interface Way {
  readonly proxy?: URL;
  readonly caCert?: string;
}

function ask(url: string, { proxy, caCert }: Way = {}): Promise<FetchOutcome> {
  return fetchStatus({
    url: new URL(url),
    method: "POST",
    body: "{}",
    timeoutMs: 30_000,
    clock: SYSTEM_CLOCK,
    signal: new AbortController().signal,
    proxy,
    caCert,
  });
}

/** A webhook that shows a certificate; all of them have the same key. */
function startWebhook(certificate: string): Deno.HttpServer<Deno.NetAddr> {
  const options = { hostname: "127.0.0.1", port: 0, cert: read(certificate), key: read("server.key"), onListen() {} };
  return Deno.serve(options, () => new Response("taken"));
}

const certificates: { name: string; shown: string; caCert?: string; host?: string; expected: FetchOutcome }[] = [
  {
    name: "an authority that is trusted",
    shown: "server.crt",
    caCert: "ca.crt",
    expected: { kind: "answered", status: 200 },
  },
  { name: "an unknown authority", shown: "server.crt", expected: { kind: "tls", flaw: "unknown_authority" } },
  {
    name: "another authority than the named one",
    shown: "server.crt",
    caCert: "webhook/ca.crt",
    expected: { kind: "tls", flaw: "unknown_authority" },
  },
  { name: "itself", shown: "webhook/self_signed.crt", expected: { kind: "tls", flaw: "unknown_authority" } },
  {
    name: "itself, and is trusted",
    shown: "webhook/self_signed.crt",
    caCert: "webhook/self_signed.crt",
    expected: { kind: "answered", status: 200 },
  },
  {
    name: "itself as an authority",
    shown: "webhook/self_signed_authority.crt",
    caCert: "webhook/self_signed_authority.crt",
    expected: { kind: "tls", flaw: "self_signed" },
  },
  {
    name: "a good authority, long ago",
    shown: "webhook/expired.crt",
    caCert: "webhook/ca.crt",
    expected: { kind: "tls", flaw: "expired" },
  },
  {
    name: "a good authority, for later",
    shown: "webhook/not_yet_valid.crt",
    caCert: "webhook/ca.crt",
    expected: { kind: "tls", flaw: "not_yet_valid" },
  },
  {
    name: "a good authority, for another name",
    shown: "server.crt",
    caCert: "ca.crt",
    host: "127.0.0.2",
    expected: { kind: "tls", flaw: "wrong_name" },
  },
];

for (const { name, shown, caCert, host, expected } of certificates) {
  Deno.test(`fetchStatus: says ${JSON.stringify(expected)} when the certificate is signed by ${name}`, async () => {
    // One listener for every address of loopback.
    const options = { hostname: "0.0.0.0", port: 0, cert: read(shown), key: read("server.key"), onListen() {} };
    await using server = Deno.serve(options, () => new Response("taken"));
    const outcome = await ask(
      `https://${host ?? "127.0.0.1"}:${server.addr.port}/`,
      caCert ? { caCert: read(caCert) } : {},
    );
    assert.deepEqual(outcome, expected);
  });
}

Deno.test("fetchStatus: says not_tls when https:// meets a plain port", async () => {
  const stub = await startHttpStub();
  assert.deepEqual(await ask(`https://127.0.0.1:${stub.port}/`), { kind: "tls", flaw: "not_tls" });
  await stub.stop();
});

Deno.test("fetchStatus: says unreachable when http:// meets a port with TLS", async () => {
  await using server = startWebhook("server.crt");
  assert.deepEqual(await ask(`http://127.0.0.1:${server.addr.port}/`), { kind: "unreachable" });
});

Deno.test("fetchStatus: says other when the handshake is broken off", async () => {
  await using gone = await startSocket((socket) => socket.end());
  assert.deepEqual(await ask(`https://127.0.0.1:${gone.port}/`), { kind: "tls", flaw: "other" });
});

Deno.test("fetchStatus: says dns when the name cannot be resolved", async () => {
  // A label of more than 63 characters: no resolver need be asked, so this holds without a network.
  assert.deepEqual(await ask(`http://${"a".repeat(64)}.invalid/`), { kind: "dns" });
});

Deno.test("fetchStatus: says refused when nothing listens, whatever the URL says", async () => {
  assert.deepEqual(await ask(`http://127.0.0.1:${freePort()}/?q=UnknownIssuer):%20dns%20error`), { kind: "refused" });
});

interface Listener extends AsyncDisposable {
  readonly port: number;
}

/** Does with every connection's first bytes as told. */
async function startSocket(take: (socket: net.Socket, first: string) => void): Promise<Listener> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", (bytes: Buffer) => take(socket, bytes.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A proxy that answers as told and writes down what it was asked first. */
async function startProxy(answer: string): Promise<Listener & { readonly heads: string[] }> {
  const heads: string[] = [];
  const listener = await startSocket((socket, first) => {
    heads.push(first);
    socket.end(answer);
  });
  return Object.assign(listener, { heads });
}

const refusals = ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"];

for (const status of refusals) {
  Deno.test(`fetchStatus: says proxy when it answers ${status} to CONNECT`, async () => {
    await using proxy = await startProxy(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
    const outcome = await ask("https://moog.invalid/", { proxy: new URL(`http://u:p%40@127.0.0.1:${proxy.port}`) });
    assert.deepEqual(outcome, { kind: "proxy" });
    assert.match(proxy.heads[0]!, /^CONNECT moog\.invalid:443 /);
    assert.match(proxy.heads[0]!, new RegExp(`proxy-authorization: Basic ${btoa("u:p@")}`, "i"));
  });
}

Deno.test("fetchStatus: goes to the proxy and nowhere else when the URL is http://", async () => {
  await using proxy = await startProxy("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  const outcome = await ask("http://moog.invalid/hook", { proxy: new URL(`http://127.0.0.1:${proxy.port}`) });
  assert.deepEqual(outcome, { kind: "answered", status: 200 });
  assert.match(proxy.heads[0]!, /^POST http:\/\/moog\.invalid\/hook /);
});

Deno.test("fetchStatus: says dns or refused of the proxy when that is not there", async () => {
  const proxy = new URL(`http://127.0.0.1:${freePort()}`);
  assert.deepEqual(await ask("https://moog.invalid/", { proxy }), { kind: "refused" });
  const unknown = new URL(`http://${"a".repeat(64)}.invalid:3128`);
  assert.deepEqual(await ask("https://moog.invalid/", { proxy: unknown }), { kind: "dns" });
});

Deno.test("fetchStatus: verifies the webhook's certificate through a tunnel of the proxy", async () => {
  await using server = startWebhook("server.crt");
  await using proxy = await startSocket((socket) => {
    const onward = net.connect(server.addr.port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  });
  const way = { proxy: new URL(`http://127.0.0.1:${proxy.port}`) };
  const url = `https://localhost:${server.addr.port}/`;
  assert.deepEqual(await ask(url, { ...way, caCert: read("ca.crt") }), { kind: "answered", status: 200 });
  assert.deepEqual(await ask(url, way), { kind: "tls", flaw: "unknown_authority" });
});
