import assert from "node:assert/strict";
import { certificateProblem, pairProblem } from "../../../src/config/pem.ts";
import { certificateFiles } from "../../../testkit/tls.ts";

const read = (path: string) => Deno.readTextFileSync(path);
const [first, second] = (["node_1", "node_2"] as const).map((name) => {
  const { cert, key, authority } = certificateFiles(name);
  return { cert: read(cert), key: read(key), authority: read(authority) };
}) as [Pem, Pem];
const ENCRYPTED = read(new URL("../../../testkit/tls/faults/encrypted.key", import.meta.url).pathname);

interface Pem {
  readonly cert: string;
  readonly key: string;
  readonly authority: string;
}

Deno.test("certificateProblem: takes one certificate and several, with text around them", () => {
  assert.equal(certificateProblem(first.cert), null);
  assert.equal(certificateProblem(`a comment\n${first.authority}\n${second.cert}`), null);
});

const BAD: readonly [what: string, text: string, problem: RegExp][] = [
  ["an empty file", "", /no PEM certificate/],
  ["a key", first.key, /no PEM certificate/],
  ["one that is being written", first.cert.slice(0, 400), /is incomplete/],
  ["a second one that is being written", first.cert + first.cert.slice(0, 400), /is incomplete/],
  ["nonsense within the lines", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", /cannot be read/],
];

for (const [what, text, problem] of BAD) {
  Deno.test(`certificateProblem: refuses ${what}`, () => assert.match(certificateProblem(text) ?? "", problem));
}

Deno.test("pairProblem: takes a certificate and its key, and says whose fault it is when they do not fit", () => {
  assert.equal(pairProblem(first.cert, first.key), null);
  const cases: readonly [cert: string, key: string, file: string, text: RegExp][] = [
    [first.cert.slice(0, 400), first.key, "cert", /is incomplete/],
    [first.cert, second.key, "key", /does not belong to the client certificate/],
    [first.cert, first.key.slice(0, 100), "key", /no complete key/],
    [first.cert, "", "key", /no complete key/],
    [first.cert, ENCRYPTED, "key", /encrypted.*openssl pkey/],
    [first.cert, `-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n`, "key", /encrypted/],
  ];
  for (const [cert, key, file, text] of cases) {
    const problem = pairProblem(cert, key);
    assert.equal(problem?.file, file);
    assert.match(problem!.text, text);
  }
});
