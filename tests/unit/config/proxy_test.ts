import assert from "node:assert/strict";
import { createProxyChoice, parseProxyUrl, type ProxySettings } from "../../../src/config/proxy.ts";

const NONE: ProxySettings = { httpProxy: "", httpsProxy: "", allProxy: "", noProxy: "" };

function chosen(url: string, settings: Partial<ProxySettings>): string | undefined {
  const proxy = createProxyChoice({ ...NONE, ...settings })(new URL(url));
  return proxy && `${proxy.variable} ${proxy.url.host}`;
}

Deno.test("createProxyChoice: goes by the scheme, then by ALL_PROXY", () => {
  const both = { httpProxy: "http://plain:1", httpsProxy: "secure:2" };
  assert.equal(chosen("http://moog/", both), "HTTP_PROXY plain:1");
  assert.equal(chosen("https://moog/", both), "HTTPS_PROXY secure:2");
  assert.equal(chosen("https://moog/", { httpProxy: "http://plain:1" }), undefined);
  assert.equal(chosen("https://moog/", { httpProxy: "plain:1", allProxy: "socks5://all:3" }), "ALL_PROXY all:3");
  assert.equal(chosen("https://moog/", {}), undefined);
});

for (
  const url of [
    "http://localhost/",
    "http://LOCALHOST.:8080/",
    "https://moog.localhost/",
    "http://127.0.0.1:8082/health",
    "http://127.9.9.9/",
    "http://2130706433/",
    "http://[::1]:8082/",
    "http://[::ffff:127.0.0.1]/",
  ]
) {
  Deno.test(`createProxyChoice: asks ${url} directly`, () => {
    assert.equal(chosen(url, { allProxy: "proxy:1" }), undefined);
  });
}

const exceptions: [noProxy: string, url: string, isDirect: boolean][] = [
  ["*", "https://moog.example/", true],
  ["*", "http://10.1.2.3/", true],
  ["other,*", "http://[2001:db8::1]/", true],
  ["moog.example", "https://moog.example/", true],
  ["MOOG.example", "https://moog.EXAMPLE/", true],
  ["moog.example.", "https://moog.example/", true],
  ["moog.example", "https://a.moog.example/", true],
  [".moog.example", "https://a.moog.example/", true],
  ["*.moog.example", "https://a.moog.example/", true],
  ["moog.example", "https://notmoog.example/", false],
  ["moog.example", "https://example/", false],
  ["moog.example:8443", "https://moog.example:8443/", true],
  ["moog.example:8443", "https://moog.example/", false],
  ["moog.example:443", "https://moog.example/", true],
  ["moog.example:80", "http://moog.example/", true],
  ["10.1.2.3", "http://10.1.2.3/", true],
  ["10.1.2.3:8080", "http://10.1.2.3:8080/", true],
  ["10.1.2.3:8080", "http://10.1.2.3/", false],
  ["2.3", "http://10.1.2.3/", false],
  ["10.0.0.0/8", "http://10.1.2.3/", true],
  ["10.0.0.0/8", "http://11.1.2.3/", false],
  ["10.0.0.0/99", "http://10.1.2.3/", false],
  ["10.0.0.0/8", "http://moog.example/", false],
  ["2001:db8::1", "http://[2001:db8:0::1]/", true],
  ["2001:db8:0:0::1", "http://[2001:db8::1]/", true],
  ["[2001:db8::1]:8080", "http://[2001:db8::1]:8080/", true],
  ["[2001:db8::1]:8080", "http://[2001:db8::1]/", false],
  ["2001:db8::/32", "http://[2001:db8::1]/", true],
  [" a.example , moog.example b.example", "https://moog.example/", true],
  [",", "https://moog.example/", false],
  [":8080", "http://moog.example:8080/", false],
  ["/", "http://moog.example/", false],
];

for (const [noProxy, url, isDirect] of exceptions) {
  Deno.test(`createProxyChoice: asks ${url} ${isDirect ? "directly" : "through the proxy"} when NO_PROXY is ${noProxy}`, () => {
    assert.equal(chosen(url, { allProxy: "proxy:1", noProxy }), isDirect ? undefined : "ALL_PROXY proxy:1");
  });
}

const proxies: [string, string | undefined][] = [
  ["http://proxy:3128", "http://proxy:3128/"],
  ["http://user:p%40ss@proxy:3128/", "http://user:p%40ss@proxy:3128/"],
  ["https://proxy", "https://proxy/"],
  ["proxy:3128", "http://proxy:3128/"],
  ["user:pass@proxy:3128", "http://user:pass@proxy:3128/"],
  ["10.0.0.1:3128", "http://10.0.0.1:3128/"],
  ["socks5://proxy:1080", "socks5://proxy:1080"],
  ["socks5h://proxy:1080", "socks5h://proxy:1080"],
  ["socks4://proxy:1080", undefined],
  ["ftp://proxy", undefined],
  ["http://proxy/path", undefined],
  ["http://proxy:3128/?a", undefined],
  ["http://", undefined],
  ["a proxy", undefined],
  ["http://proxy:99999", undefined],
];

for (const [text, expected] of proxies) {
  Deno.test(`parseProxyUrl: reads ${text} as ${expected}`, () => {
    assert.equal(parseProxyUrl(text)?.href, expected);
  });
}
