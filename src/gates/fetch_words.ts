/** Words for how an HTTP exchange ended. They name hosts, ports and settings: never credentials, path or query. */
import type { ChosenProxy } from "../config/proxy.ts";
import type { FetchOutcome, TlsFlaw } from "../runtime/bounded_fetch.ts";

/** Who was asked, and by which way. */
export interface Asked {
  /** `host:port`. */
  readonly address: string;
  readonly proxy?: ChosenProxy | undefined;
}

/** What sets the exchange up, for people. */
export interface AskedSettings {
  readonly url: string;
  readonly timeout: string;
  /** What names a further authority; absent: nothing does. */
  readonly authority?: string;
}

/** An answer in words. Pure. */
export function describeAnswer(status: number, asked: Asked): string {
  return `${nameOf(asked)} answered ${status}`;
}

/** A failure in words: what was seen, and which setting decides it. Pure. */
export function describeFailure(
  outcome: Exclude<FetchOutcome, { kind: "answered" }>,
  { url, timeout, authority, ...asked }: Asked & AskedSettings,
): string {
  const { address, proxy } = asked, name = nameOf(asked);
  const via = proxy && `the proxy ${proxy.url.host}`, from = proxy?.variable ?? url;
  switch (outcome.kind) {
    case "timeout":
      return `${name} did not answer within ${timeout}`;
    case "dns":
      return `${via ?? address} has a name that DNS does not know, or DNS does not answer (${from})`;
    case "refused":
      return `${via ?? address} refuses the connection: nothing listens there (${from})`;
    case "proxy":
      return `${via ?? "the proxy"} does not connect to ${address}: check what it allows, and its password (${from})`;
    case "unreachable":
      return `${name} cannot be reached, broke the connection off, or speaks no HTTP (${from})`;
    case "tls":
      return `${name} ${describeFlaw(outcome.flaw, { url, authority })}`;
  }
}

function nameOf({ address, proxy }: Asked): string {
  return proxy ? `${address} (through the proxy ${proxy.url.host})` : address;
}

function describeFlaw(flaw: TlsFlaw, { url, authority }: { url: string; authority: string | undefined }): string {
  switch (flaw) {
    case "unknown_authority":
      return "has a certificate of an authority that is not trusted, or a self-signed one" +
        (authority === undefined ? ` (${url})` : `: name the authority's file in ${authority}`);
    case "self_signed":
      return `has the self-signed certificate of an authority, which is good for no server: give it one that this ` +
        `authority has signed (${authority ?? url})`;
    case "expired":
      return "has a certificate that has expired: renew it, or set this machine's clock";
    case "not_yet_valid":
      return "has a certificate that is not valid yet: set this machine's clock, or wait";
    case "wrong_name":
      return `has a certificate for another name: use a name that it is for (${url})`;
    case "not_tls":
      return `speaks no TLS on this port: use http://, or another port (${url})`;
    case "other":
      return `broke the TLS handshake off, or has a certificate that cannot be used (${url})`;
  }
}
