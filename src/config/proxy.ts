/**
 * Chooses the proxy of a request. The rules are ours, so that they hold however the runtime is started:
 *
 * - Loopback addresses are not proxied.
 * - `HTTPS_PROXY` is for https:// URLs, `HTTP_PROXY` for http:// URLs, `ALL_PROXY` for those without one of their own.
 * - `NO_PROXY` lists exceptions: `*`, a host with its subdomains, an address, a network (`10.0.0.0/8`). Hosts and addresses may
 *   have a port.
 */
import { BlockList, isIP } from "node:net";
import type { Settings } from "./fields.ts";
import { isInNetwork, parseNetwork } from "./networks.ts";

/** The proxy for a URL, and the variable that names it. */
export interface ChosenProxy {
  /** Includes its credentials, if any. */
  readonly url: URL;
  readonly variable: string;
}

/** Chooses the proxy for a URL; `undefined` if it is not proxied. */
export type ChooseProxy = (url: URL) => ChosenProxy | undefined;

/** The settings of proxies. */
export type ProxySettings = Pick<Settings, "httpProxy" | "httpsProxy" | "allProxy" | "noProxy">;

const SCHEMES = /^(?:https?|socks5h?):\/\//i;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addSubnet("::ffff:127.0.0.0", 104, "ipv6");
LOOPBACK.addAddress("::1", "ipv6");

/** Parses a proxy's URL, `undefined` if it is invalid. `host:port` means `http://host:port`. Pure. */
export function parseProxyUrl(text: string): URL | undefined {
  const whole = SCHEMES.test(text) ? text : `http://${text}`;
  if (/[\p{Cc}\s]/u.test(text) || !URL.canParse(whole) || /:\/\/.*:\/\//.test(whole)) return undefined;
  const url = new URL(whole);
  const isBare = /^\/?$/.test(url.pathname) && url.search === "" && url.hash === "";
  return url.hostname !== "" && isBare ? url : undefined;
}

/** Creates the choice from the settings. Pure. */
export function createProxyChoice({ httpProxy, httpsProxy, allProxy, noProxy }: ProxySettings): ChooseProxy {
  const all = choose(allProxy, "ALL_PROXY");
  const bySchema = {
    "http:": choose(httpProxy, "HTTP_PROXY") ?? all,
    "https:": choose(httpsProxy, "HTTPS_PROXY") ?? all,
  };
  const exceptions = noProxy.toLowerCase().split(/[\s,]+/).filter((one) => one !== "");
  return (url) => {
    const host = hostOf(url), port = url.port || DEFAULT_PORTS[url.protocol] || "";
    if (isLoopback(host) || exceptions.some((one) => covers(one, { host, port }))) return undefined;
    return bySchema[url.protocol as keyof typeof bySchema];
  };
}

function choose(text: string, variable: string): ChosenProxy | undefined {
  const url = text === "" ? undefined : parseProxyUrl(text);
  return url && { url, variable };
}

/** The host without brackets and trailing dot. */
function hostOf({ hostname }: URL): string {
  return hostname.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

/** Whether a URL is on this machine. */
export function isLoopbackUrl(url: URL): boolean {
  return isLoopback(hostOf(url));
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || isInNetwork(LOOPBACK, host);
}

function covers(exception: string, { host, port }: { host: string; port: string }): boolean {
  if (exception === "*") return true;
  if (exception.includes("/")) return coversNetwork(exception, host);
  const [, bracketed, named, onlyPort] = /^(?:\[(.+)\]|([^:]*|.*:.*:.*))(?::(\d+))?$/.exec(exception) ?? [];
  const wanted = (bracketed ?? named ?? "").replace(/^\*?\./, "").replace(/\.$/, "");
  if (wanted === "" || (onlyPort !== undefined && onlyPort !== port)) return false;
  return host === wanted || (isIP(host) === 0 && host.endsWith(`.${wanted}`)) || isSameAddress(host, wanted);
}

/** An IPv6 address has several spellings. */
function isSameAddress(host: string, wanted: string): boolean {
  return isIP(host) === 6 && isIP(wanted) === 6 && hostOf(new URL(`http://[${wanted}]`)) === host;
}

function coversNetwork(text: string, host: string): boolean {
  const network = parseNetwork(text);
  return network !== undefined && isInNetwork(network, host);
}
