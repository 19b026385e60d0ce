import assert from "node:assert/strict";
import { groupId } from "../../../src/message/group.ts";
import { messageId } from "../../../src/message/message_id.ts";
import { createViewer, type MessageView } from "../../../src/message/message_view.ts";
import { type CompiledQuery, compileQuery, describeQueryProblem } from "../../../src/message/query.ts";
import { MAX_QUERY_CHARACTERS, MAX_QUERY_DEPTH, MAX_QUERY_TERMS } from "../../../src/message/query_syntax.ts";

const NOW_MS = Date.parse("2026-11-29T20:00:00Z");

function view(message: object | string): MessageView {
  const bytes = new TextEncoder().encode(typeof message === "string" ? message : JSON.stringify(message));
  const display = { groupBy: ["message"], secret: [] };
  const viewer = createViewer({ source: "alerter", list: "dlq", display, nowMs: NOW_MS });
  return viewer({ id: messageId(bytes), place: 1, bytes, length: bytes.length });
}

const MESSAGES = {
  web: view({
    ...{ hostname: "web-1", severity: "Error", source: "syslog", message: "Connection to 10.0.0.1 refused" },
    ...{ timestamp: "2026-11-29T19:00:00Z", port: 443, ok: true, none: null, api_key: "hunter2", age: 7 },
  }),
  db: view({
    ...{ hostname: "db-22", severity: "Critical", source: "snmp", message: 'disk "sda" is full (95%)', port: "22" },
    ...{ timestamp: "2026-11-29T19:58:00Z" },
    _remediation: { failures: 3, evidence: 1, since: 1, cycle: 4, source: "alerter", reason: "poison" },
  }),
  host: view({
    ...{ host: "core", message: "x".repeat(20_000), "a b": "c:d", "log.level": "warn", "log\\level": 1 },
    headers: {
      retries: 5,
      "x-id": "q",
      age: 7,
      "a.b": { "c:d": 1 },
      list: [{ n: 1 }],
      token: "hunter3",
      "é": { "*": "z" },
    },
  }),
  broken: view("no json at all"),
};
type Name = keyof typeof MESSAGES;
const ALL = Object.keys(MESSAGES) as Name[];

function compile(text: string): CompiledQuery {
  const query = compileQuery(text);
  assert.ok(query.ok, JSON.stringify(query));
  return query;
}

function matching(text: string): Name[] {
  const { matches } = compile(text);
  return ALL.filter((name) => matches(MESSAGES[name]));
}

const { web, db } = MESSAGES;
const queries: [query: string, matching: Name[], canonical?: string][] = [
  ["", ALL, ""],
  ["  ", ALL, ""],
  ["*", ALL],
  [`id:${web.id}`, ["web"]],
  [`id:${web.id.toUpperCase()}`, ["web"]],
  [`group:${groupId(db)}`, ["db"]],
  ["reason:poison", ["db"]],
  ["reason:*", ["db", "broken"], "reason:*"],
  ["reason:unreadable", ["broken"]],
  ["NOT reason:*", ["web", "host"]],
  ["-reason:*", ["web", "host"], "NOT reason:*"],
  ["age:>30m", ["web"]],
  ["age:<=2m", ["db"]],
  ["age:[5m TO 2h]", ["web"]],
  ["age:{2m TO 1h]", ["web"]],
  ["age:[2m TO 1h}", ["db"]],
  ["age:[* TO 1h]", ["web", "db"]],
  ["age:*", ["web", "db"]],
  ["-age:>0s", ["host", "broken"]],
  ["size:>10k", ["host"]],
  ["size:<1K AND size:>=14", ["web", "db", "broken"]],
  ["size:14", ["broken"]],
  ["failures:>=2", ["db"]],
  ["failures:0", ["web", "host", "broken"]],
  ["host:web-1", ["web"]],
  ["host:WEB*", ["web"]],
  ["host:core", ["host"]],
  ["host:*2", ["db"]],
  ["host:*-*", ["web", "db"]],
  ["host:web", []],
  ["severity:error OR severity:critical", ["web", "db"]],
  ["source:snmp", ["db"]],
  ["port:443", ["web"]],
  ["port:>100", ["web"]],
  ["port:[20 TO 30]", ["db"]],
  ["ok:true none:null", ["web"], "ok:true AND none:null"],
  ["timestamp:>2026-11-29T19:30:00Z", ["db"]],
  ["timestamp:[2026-11-29T18:00:00Z TO 2026-11-29T19:00:00Z]", ["web"]],
  ['"age":7', ["web"], '"age":7'],
  ['"a b":c:d', ["host"]],
  ["headers.retries:>3", ["host"]],
  ["headers.retries:[1 TO 4]", []],
  ["headers.x-id:Q", ["host"], "headers.x-id:Q"],
  ["headers.age:7", ["host"]],
  ["headers.age:>5", ["host"]],
  ["headers.retries:*", ["host"]],
  ["-headers.retries:*", ["web", "db", "broken"]],
  ["headers.a\\.b.c\\:d:1", ["host"], "headers.a\\.b.c\\:d:1"],
  ["headers.é.\\*:z", ["host"], "headers.é.\\*:z"],
  ["headers.list.n:1", []],
  ["headers.list.0:*", []],
  ["headers.token:hunter3", []],
  ["headers.token:*", ["host"]],
  ["log.level:warn", []],
  ["log\\.level:warn", ["host"], '"log.level":warn'],
  ['"log.level":warn', ["host"], '"log.level":warn'],
  ['"log\\\\level":1', ["host"], '"log\\\\level":1'],
  ['"headers.retries":5', []],
  ["message.text:*", []],
  ["10.0.0.1:443", []],
  ["connection", ["web"]],
  ["CONN*refused", ["web"]],
  ["10.0.0.1", ["web"]],
  ['"is full"', ["db"]],
  ['message:"disk \\"sda\\" is full (95%)"', ["db"]],
  ["message:disk*\\(95%\\)", ["db"]],
  ['"con*refused"', []],
  ["(connection OR disk) severity:critical", ["db"], "(connection OR disk) AND severity:critical"],
  ["connection OR disk severity:critical", ["web", "db"], "connection OR disk AND severity:critical"],
  ["NOT (connection OR disk)", ["host", "broken"]],
  ["NOT NOT disk", ["db"]],
  ["json", ["broken"]],
  ["hunter2", []],
  ["api_key:hunter2", []],
  ["api_key:h*", []],
  ["constructor:*", []],
  ["toString:x", []],
];

for (const [text, wanted, canonical] of queries) {
  Deno.test(`compileQuery: ${JSON.stringify(text)} matches ${wanted.join(", ") || "nothing"}`, () => {
    assert.deepEqual(matching(text), wanted);
    const { canonical: printed } = compile(text);
    if (canonical !== undefined) assert.equal(printed, canonical);
    assert.deepEqual(matching(printed), wanted, printed);
    assert.equal(compile(printed).canonical, printed);
  });
}

Deno.test("compileQuery: names the fields that it reads", () => {
  assert.deepEqual(compile('disk host:a OR "x y":b a.b:1 "a.b":1').fields, ["a.b", "a\\.b", "host", "text", "x y"]);
});

const refused: [query: string, problems: [position: number, wanted: RegExp][]][] = [
  ["(a", [[1, /closing parenthesis/]]],
  ["a)", [[2, /opening parenthesis/]]],
  ["a OR", [[5, /condition/]]],
  ["OR a", [[1, /condition/]]],
  ["a AND AND b", [[7, /condition/]]],
  ["NOT", [[4, /after NOT/]]],
  ["-", [[2, /quote a dash/]]],
  ["a - b", [[3, /quote a dash/]]],
  ['"abc', [[1, /closing quote/]]],
  ["error: 5", [[1, /after the colon; quote/]]],
  [":x", [[1, /name before the colon/]]],
  ["h*st:x", [[1, /name before the colon/]]],
  ["a..b:x", [[1, /at most 8 names with a dot between them; quote/]]],
  [".a:x", [[1, /names with a dot/]]],
  ["c a.:>5", [[3, /names with a dot/]]],
  ["a.b.c.d.e.f.g.h.i:x", [[1, /at most 8 names/]]],
  ["headers.*:5", [[1, /name before the colon/]]],
  ["age:1", [[1, /duration such as/]]],
  ["age:>2w", [[1, /duration such as/]]],
  ["size:>ten", [[1, /size in bytes/]]],
  ["failures:>=1.5", [[1, /whole number/]]],
  ["failures:-1", [[1, /whole number/]]],
  ["age:[5m 2h]", [[1, /range such as/]]],
  ["age:[5m TO 2h", [[1, /range such as/]]],
  ["host:>b", [[1, /only numbers and times/]]],
  ["port:>b", [[1, /a number, or a time/]]],
  ["port:>", [[1, /value after >/]]],
  ["port:>1*", [[1, /without \*/]]],
  ["reason:(a OR b)", [[8, /field:a OR field:b/]]],
  ["age:x size:y (", [[1, /duration/], [7, /size/], [14, /closing/], [15, /condition/]]],
  ["x".repeat(MAX_QUERY_CHARACTERS + 1), [[MAX_QUERY_CHARACTERS + 1, /at most 2000/]]],
  [`${"(".repeat(MAX_QUERY_DEPTH + 1)}a`, [[MAX_QUERY_DEPTH + 2, /inside each other/]]],
  ["a ".repeat(MAX_QUERY_TERMS + 1), [[2 * MAX_QUERY_TERMS + 1, /at most 100 conditions/]]],
];

for (const [text, wanted] of refused) {
  Deno.test(`compileQuery: refuses ${JSON.stringify(text.slice(0, 40))} and says where and why`, () => {
    const query = compileQuery(text);
    assert.ok(!query.ok);
    for (const [position, pattern] of wanted) {
      const found = query.problems.filter((problem) => problem.position === position).map(({ wanted }) => wanted);
      assert.ok(found.some((text) => pattern.test(text)), query.problems.map(describeQueryProblem).join("\n"));
    }
    for (const problem of query.problems) assert.ok(describeQueryProblem(problem).length < 250);
  });
}

Deno.test("compileQuery: takes wildcards in linear time", () => {
  const { matches } = compile(`host:${"*a".repeat(300)}b`);
  assert.equal(matches(view({ hostname: "a".repeat(100_000) })), false);
});

Deno.test("compileQuery: refuses a query that is too long once it is written out, as a job keeps it", () => {
  const text = "[".repeat(MAX_QUERY_CHARACTERS), query = compileQuery(text);
  assert.ok(!query.ok);
  assert.ok(query.problems.length > 0);
  const quoted = compileQuery(`"${"[".repeat(MAX_QUERY_CHARACTERS - 2)}"`);
  assert.ok(quoted.ok && compileQuery(quoted.canonical).ok);
});
