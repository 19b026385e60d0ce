import assert from "node:assert/strict";
import { parseRedisUrl, parseServers, type RedisUrl } from "../../../src/config/redis_url.ts";

const NOTHING = { tls: false, servers: [], master: null, path: null, db: null, username: null, password: null };
const server = (host: string, port: number) => ({ host, port });

const good: readonly [url: string, says: Partial<RedisUrl>][] = [
  ["redis://db", { scheme: "redis:", servers: [server("db", 6379)] }],
  ["REDISS://db:6380/2", { scheme: "rediss:", tls: true, servers: [server("db", 6380)], db: 2 }],
  ["redis://:p%23w@db", { scheme: "redis:", servers: [server("db", 6379)], password: "p#w" }],
  ["redis://me:p:w@[::1]:7/", { scheme: "redis:", servers: [server("::1", 7)], username: "me", password: "p:w" }],
  ["unix:///run/redis/redis.sock", { scheme: "unix:", path: "/run/redis/redis.sock" }],
  ["redis+sentinel://a,b:7/queues", {
    ...{ scheme: "redis+sentinel:", servers: [server("a", 26379), server("b", 7)], master: "queues" },
  }],
  ["rediss+sentinel://me:p%2Fw@[fe80::1]:9,b/my%20master/3", {
    ...{ scheme: "rediss+sentinel:", tls: true, servers: [server("fe80::1", 9), server("b", 26379)] },
    ...{ master: "my master", db: 3, username: "me", password: "p/w" },
  }],
];

for (const [url, says] of good) {
  Deno.test(`parseRedisUrl: reads ${url}`, () => {
    assert.deepEqual(parseRedisUrl(url), { ...NOTHING, ...says });
  });
}

const bad = [
  ...["", "db", "db:6379", "http://db", "redis://", "redis://db/zero", "redis://:%zz@db", "redis://db?keyPrefix=p"],
  ...[
    "unix://run/redis.sock",
    "unix:///run?x=1",
    "redis+sentinel://a,b",
    "redis+sentinel:///queues",
    "redis+sentinel://a/",
  ],
  ...["redis+sentinel://a:0/q", "redis+sentinel://a:65536/q", "redis+sentinel://a,,b/q", "redis+sentinel://a/q/x"],
  ...[
    "redis+sentinel://:%zz@a/q",
    "redis+sentinel://a/%zz",
    "redis+sentinel://a/q?role=slave",
    "redis+sentinel://a b/q",
  ],
  // A `#` in a password would make `me` the host.
  ...["redis://me:12#4@host:6379", "redis://db#x", "redis+sentinel://me:1#2@a/q", "unix:///run#x"],
  ...["redis://d\nb", "redis://d\tb", "unix:///a\nb", "redis+sentinel://a/q\n", "redis+sentinel://a/q\r/1"],
  ...["redis://db:0", "redis://db:65536", "redis://db/65536", "redis+sentinel://a/q/65536"],
];

for (const url of bad) {
  Deno.test(`parseRedisUrl: refuses ${JSON.stringify(url)}`, () => assert.equal(parseRedisUrl(url), undefined));
}

Deno.test("parseServers: reads hosts with and without a port, and refuses what is none", () => {
  assert.deepEqual(parseServers("a, b:7,[::1]:8"), [server("a", 26379), server("b", 7), server("::1", 8)]);
  for (const text of ["", ",", "a,", "a:b", "a:70000", "::1", "a b", "http://a"]) {
    assert.equal(parseServers(text), undefined, text);
  }
});
