/** Describes how an HTTP request ended. Texts name hosts, ports and settings, never credentials, paths or queries. */
import type { ChosenProxy } from "../config/proxy.ts";
import type { FetchOutcome, TlsFlaw } from "../runtime/bounded_fetch.ts";

/** The server and the proxy of a request. */
export interface Asked {
  /** `host:port`. */
  readonly address: string;
  readonly proxy?: ChosenProxy | undefined;
}

/** Names of the settings that decide a request, for messages. */
export interface AskedSettings {
  readonly url: string;
  readonly timeout: string;
  /** Setting for an additional certificate authority; absent if there is none. */
  readonly authority?: string;
}

/** Describes an answer. Pure. */
export function describeAnswer(status: number, asked: Asked): string {
  return `${nameOf(asked)} answered ${status}`;
}

/** Describes a failure and names the setting to check. Pure. */
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
      return `${via ?? address} cannot be resolved: DNS does not know the name or does not answer (${from})`;
    case "refused":
      return `${via ?? address} refuses the connection: nothing listens there (${from})`;
    case "proxy":
      return `${via ?? "the proxy"} does not connect to ${address}: check what it allows, and its password (${from})`;
    case "unreachable":
      return `${name} cannot be reached, closed the connection, or does not speak HTTP (${from})`;
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
      return "has a certificate from an authority that is not trusted, or a self-signed one" +
        (authority === undefined ? ` (${url})` : `: set ${authority} to the authority's file`);
    case "self_signed":
      return `uses the self-signed certificate of an authority, which is not valid for a server: give it a certificate ` +
        `signed by this authority (${authority ?? url})`;
    case "expired":
      return "has an expired certificate: renew it, or correct this machine's clock";
    case "not_yet_valid":
      return "has a certificate that is not valid yet: correct this machine's clock, or wait";
    case "wrong_name":
      return `has a certificate for another name: use a name from the certificate (${url})`;
    case "not_tls":
      return `does not speak TLS on this port: use http:// or another port (${url})`;
    case "other":
      return `aborted the TLS handshake or has an unusable certificate (${url})`;
  }
}
