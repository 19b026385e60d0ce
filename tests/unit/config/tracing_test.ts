import assert from "node:assert/strict";
import type { Settings } from "../../../src/config/fields.ts";
import { parseSettings } from "../../../src/config/load.ts";
import { parsePairs } from "../../../src/config/pairs.ts";
import { sampledShare, spanTarget, wantsSpans } from "../../../src/config/tracing.ts";
import { assertNoSecrets, PLANTED } from "../../../testkit/planted_secrets.ts";

function load(environment: Record<string, string>): { settings: Settings; warnings: readonly string[] } {
  const loaded = parseSettings({ environment, dotEnv: {}, readFile: () => "x-key=from%20file\n" });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded;
}

const ON = { OTEL_ENABLED: "true" };
const ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL";

const TARGETS: readonly (readonly [environment: Record<string, string>, url: string, encoding: string])[] = [
  [{}, "http://localhost:4318/v1/traces", "protobuf"],
  [{ [ENDPOINT]: "http://otel:4318" }, "http://otel:4318/v1/traces", "protobuf"],
  [{ [ENDPOINT]: "https://otel.example/otlp/" }, "https://otel.example/otlp/v1/traces", "protobuf"],
  [{ [TRACES_ENDPOINT]: "https://otel.example/in", [ENDPOINT]: "otel:4317" }, "https://otel.example/in", "protobuf"],
  [{ [PROTOCOL]: "http/json" }, "http://localhost:4318/v1/traces", "json"],
  [
    { [PROTOCOL]: "grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "HTTP/JSON" },
    "http://localhost:4318/v1/traces",
    "json",
  ],
  // Whoever says HTTP means it, whatever the port.
  [{ [ENDPOINT]: "http://otel:4317", [PROTOCOL]: "http/protobuf" }, "http://otel:4317/v1/traces", "protobuf"],
];

for (const [environment, url, encoding] of TARGETS) {
  Deno.test(`spanTarget: is ${url} (${encoding}) for ${JSON.stringify(environment)}`, () => {
    const target = spanTarget(load({ ...ON, ...environment }).settings);
    assert.ok(target.ok);
    assert.deepEqual([String(target.url), target.encoding], [url, encoding]);
  });
}

/** What MUTT's settings say, and others that mean gRPC: each is told once with what to set instead. */
const UNTRACED: readonly (readonly [environment: Record<string, string>, told: string])[] = [
  [
    { [ENDPOINT]: "http://otel-collector:4317" },
    'Nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT "http://otel-collector:4317" is the port for gRPC, but spans are sent over ' +
    "HTTP only. Set OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4318 (or, where HTTP is spoken on that port, " +
    "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)",
  ],
  [
    { [ENDPOINT]: "localhost:4317" },
    'Nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT "localhost:4317" is no http:// or https:// URL, but spans are sent over HTTP ' +
    "only. Set OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
  ],
  [
    { [PROTOCOL]: "grpc", [ENDPOINT]: "https://otel:4317" },
    "Nothing is traced: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but spans are sent over HTTP only. " +
    "Set OTEL_EXPORTER_OTLP_ENDPOINT=https://otel:4318 and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
  ],
  [
    { [TRACES_ENDPOINT]: "unix:///run/otel.sock" },
    'Nothing is traced: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT "unix:///run/otel.sock" is no http:// or https:// URL, but spans are ' +
    "sent over HTTP only. Set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://COLLECTOR:4318/v1/traces",
  ],
];

for (const [environment, told] of UNTRACED) {
  Deno.test(`parseSettings: warns that nothing is traced for ${JSON.stringify(environment)}, only where it is on`, () => {
    const { settings, warnings } = load({ ...ON, ...environment });
    assert.equal(spanTarget(settings).ok, false);
    assert.deepEqual(warnings, [told]);
    assert.deepEqual(load(environment).warnings, []);
  });
}

Deno.test("wantsSpans: is off by default, and by either of the standard's switches", () => {
  const wants = (environment: Record<string, string>) => wantsSpans(load(environment).settings);
  assert.deepEqual(
    [{}, ON, { ...ON, OTEL_SDK_DISABLED: "true" }, { ...ON, OTEL_TRACES_EXPORTER: "none" }].map(wants),
    [false, true, false, false],
  );
});

const SAMPLED: readonly (readonly [sampler: string, arg: string, share: number])[] = [
  ["always_on", "0", 1],
  ["always_off", "1", 0],
  ["parentbased_always_on", "0", 1],
  ["parentbased_always_off", "1", 0],
  ["traceidratio", "0.25", 0.25],
  ["parentbased_traceidratio", "0.25", 0.25],
];

for (const [sampler, arg, share] of SAMPLED) {
  Deno.test(`sampledShare: is ${share} for ${sampler} ${arg}`, () => {
    const { settings } = load({ ...ON, OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: arg });
    assert.equal(sampledShare(settings), share);
  });
}

Deno.test("parseSettings: repeats no credentials of an endpoint", () => {
  const password = encodeURIComponent(PLANTED.otlpPassword);
  for (
    const endpoint of [
      `grpc://svc:${password}@otel:4317`,
      `http://svc:${password}@otel:4317/?key=${password}`,
      `http://svc:${PLANTED.otlpPassword}`,
      `${PLANTED.misplaced}:4317`,
      PLANTED.misplaced,
    ]
  ) {
    const { warnings } = load({ ...ON, [ENDPOINT]: endpoint });
    assert.equal(warnings.length, 1, endpoint);
    assertNoSecrets("a warning", warnings[0]!);
  }
});

const LENIENT: Readonly<Record<string, string>> = {
  OTEL_SDK_DISABLED: "perhaps",
  OTEL_TRACES_EXPORTER: "zipkin",
  OTEL_TRACES_SAMPLER: "jaeger_remote",
  OTEL_TRACES_SAMPLER_ARG: "endpoint=http://jaeger:14250",
  OTEL_EXPORTER_OTLP_PROTOCOL: "http/xml",
  OTEL_EXPORTER_OTLP_ENDPOINT: "collector",
  OTEL_EXPORTER_OTLP_HEADERS: "no pair",
  OTEL_EXPORTER_OTLP_TIMEOUT: "10s",
  OTEL_RESOURCE_ATTRIBUTES: "a=%zz",
  OTEL_BSP_SCHEDULE_DELAY: "0",
  OTEL_BSP_EXPORT_TIMEOUT: "-1",
  OTEL_BSP_MAX_QUEUE_SIZE: "many",
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1e3",
};

for (const [variable, text] of Object.entries(LENIENT)) {
  Deno.test(`parseSettings: takes the default for ${variable}=${text}, and says so where tracing is on`, () => {
    const { settings, warnings } = load({ ...ON, [variable]: text });
    assert.deepEqual(settings, load(ON).settings);
    assert.equal(warnings.length, 1, warnings.join("\n"));
    assert.ok(warnings[0]!.startsWith(`${variable} `) && warnings[0]!.endsWith("; the default is used"), warnings[0]);
    assert.deepEqual(load({ [variable]: text }).warnings, []);
  });
}

Deno.test("parseSettings: warns of the standard's variables that are set in vain, and of no other's", () => {
  const names = [
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_PROPAGATORS",
    "OTEL_METRICS_EXPORTER",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
  ];
  const environment = Object.fromEntries(names.map((name) => [name, "x"]));
  assert.deepEqual(
    load({ ...ON, ...environment }).warnings,
    names.slice(0, 3).map((name) => `${name} is not supported and is ignored (docs/tracing.md)`),
  );
  assert.deepEqual(load(environment).warnings, []);
});

Deno.test("parseSettings: warns of a batch that is larger than the queue", () => {
  const { warnings } = load({ ...ON, OTEL_BSP_MAX_QUEUE_SIZE: "10" });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^OTEL_BSP_MAX_EXPORT_BATCH_SIZE is more than OTEL_BSP_MAX_QUEUE_SIZE/);
});

Deno.test("parseSettings: reads headers from a variable or a file, the one for spans first", () => {
  const headers = (environment: Record<string, string>) =>
    load({ ...ON, ...environment }).settings.otelHeaders?.reveal();
  assert.equal(headers({ OTEL_EXPORTER_OTLP_HEADERS: "a=1" }), "a=1");
  assert.equal(headers({ OTEL_EXPORTER_OTLP_HEADERS: "a=1", OTEL_EXPORTER_OTLP_TRACES_HEADERS: "b=2" }), "b=2");
  assert.equal(headers({ OTEL_EXPORTER_OTLP_HEADERS_FILE: "/run/secrets/otlp" }), "x-key=from%20file");
  // What would forge a header, or is none.
  for (const bad of ["a b=1", "a=1%0d%0ax: y", "a=é", "=1", "a"]) {
    assert.equal(headers({ OTEL_EXPORTER_OTLP_HEADERS: bad }), undefined, bad);
  }
});

Deno.test("parsePairs: decodes names and values, and keeps what stands behind the first =", () => {
  assert.deepEqual(parsePairs(" a = 1 ,b=x%2Cy%3D, c=Basic dXNlcjo=,"), [["a", "1"], ["b", "x,y="], [
    "c",
    "Basic dXNlcjo=",
  ]]);
  assert.deepEqual(parsePairs(`k=${encodeURIComponent(PLANTED.otlpKey)}`), [["k", PLANTED.otlpKey]]);
  assert.deepEqual(parsePairs(""), []);
  for (const bad of ["a", "=1", "a=%zz", "a=%00"]) assert.equal(parsePairs(bad), undefined, bad);
});
