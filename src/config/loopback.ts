/** Local addresses of the service. Pure. */

/**
 * Hosts, as in a URL, that reach a service bound to `bindAddress` on this machine. At `::` it usually accepts IPv4 too; that
 * comes first because an old runtime (2.6) cannot connect over IPv6.
 */
export function loopbacksFor(bindAddress: string): readonly [string, ...string[]] {
  if (bindAddress === "0.0.0.0" || bindAddress === "") return ["127.0.0.1"];
  if (bindAddress === "::") return ["127.0.0.1", "[::1]"];
  return [bindAddress.includes(":") ? `[${bindAddress}]` : bindAddress];
}
