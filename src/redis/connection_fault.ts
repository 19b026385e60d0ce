/**
 * Says why a connection does not come about. Of TLS the runtime tells little, the binary's one text for everything; of what a
 * server says before it hangs up the client tells nothing. So the server is looked at by connections that verify nothing, and
 * over which nothing is sent but PING.
 */
import { X509Certificate } from "node:crypto";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from "node:tls";
import type { Server } from "../config/redis_url.ts";
import type { Clock } from "../runtime/clock.ts";
import { StoreError, toStoreError } from "./errors.ts";

/** How long one look may take, in milliseconds. */
const LOOK_MS = 2_000;

/** What {@link findConnectionFault} needs to know. */
export interface ConnectionFaultOptions {
  readonly clock: Clock;
  /** Whether the service is to talk TLS. */
  readonly wantsTls: boolean;
  /** The name that the server's certificate must have. */
  readonly name: string;
  /** PEM text of the authority; empty: the system's own. */
  readonly caCert: string;
  /** PEM text of the client's certificate; empty: there is none. */
  readonly clientCert: string;
  /** Aborted: give up looking. */
  readonly signal: AbortSignal;
}

type Looking = Pick<ConnectionFaultOptions, "clock" | "signal">;

/** Redis: `networking.c`, said to whoever connects. */
const GREETINGS = /^-(DENIED |ERR max number of clients)/;

/** What is wrong and what to do, or what the server said; `null`: nothing was found. Never rejects. */
export async function findConnectionFault(server: Server, options: ConnectionFaultOptions): Promise<StoreError | null> {
  const { wantsTls } = options;
  const answer = wantsTls ? "" : await askPlainly(server, options);
  if (answer !== "") return greeting(answer);
  const certificate = await seeCertificate(server, options);
  if (certificate !== null) {
    const fault = wantsTls ? judge(certificate, options) ?? await tryVerified(server, { certificate, options }) : null;
    if (wantsTls) return fault === null ? null : tlsFault(fault);
    return tlsFault("that port talks TLS: set REDIS_TLS_ENABLED=true, or give the plain port");
  }
  const plainly = wantsTls ? await askPlainly(server, options) : "";
  return greeting(plainly) ??
    (/^[+-]/.test(plainly)
      ? tlsFault(
        "that port does not talk TLS: set REDIS_TLS_ENABLED=false (or redis:// for rediss://), or give the TLS port",
      )
      : null);
}

function tlsFault(text: string): StoreError {
  return new StoreError(`TLS: ${text}`, { code: "TLS", isCertain: true });
}

/** What a server says before it hangs up; `null`: it is none of that. */
function greeting(answer: string): StoreError | null {
  return GREETINGS.test(answer) ? toStoreError(answer.slice(1)) : null;
}

/** What is wrong with the certificate itself. */
function judge(certificate: PeerCertificate, { clock, name }: ConnectionFaultOptions): string | null {
  const { valid_from: from, valid_to: to } = certificate;
  if (Date.parse(to) < clock.nowMs()) return `the server's certificate has expired on ${day(to)}: renew it`;
  if (Date.parse(from) > clock.nowMs()) {
    return `the server's certificate is not valid before ${day(from)}: look at this machine's clock`;
  }
  const names = readableNames(certificate);
  return checkServerIdentity(name, { ...certificate, subjectaltname: names })
    ? `the server's certificate is for ${
      names || "no name at all"
    }, not for ${name}: set REDIS_TLS_SERVER_NAME to a name ` +
      "that it has, or give the server such a certificate"
    : null;
}

function day(text: string): string {
  return new Date(text).toISOString().slice(0, 10);
}

/** Whether the authority is the right one, and the server content without a certificate of ours. */
async function tryVerified(
  { host, port }: Server,
  { certificate, options }: { certificate: PeerCertificate; options: ConnectionFaultOptions },
): Promise<string | null> {
  const { clock, caCert, clientCert, name } = options;
  // A name that no certificate can have would be refused by itself; that of the certificate was judged before.
  const servername = isIP(name) ? {} : { servername: name };
  let isVerified = false;
  const open = () => connectTls({ host, port, ...servername, ...(caCert ? { ca: caCert } : {}) });
  const isAnswered = await lookThrough(open, options, (socket, see: (seen: boolean) => void) => {
    socket.once("secureConnect", () => {
      isVerified = true;
      socket.write("PING\r\n");
    });
    socket.once("data", () => see(true));
    // Deno 2.6 calls a connection secure before it has verified the other side, and says so when something is sent.
    socket.once("error", ({ message }) => isVerified &&= !message.includes("UNKNOWN"));
  });
  if (isAnswered) return null;
  if (!isVerified) {
    const issuer = certificate.issuer?.CN ?? "an authority without a name";
    return `the server's certificate was signed by ${issuer}, which ${
      caCert ? "is not in the file of REDIS_CA_CERT_PATH" : "this system does not know: set REDIS_CA_CERT_PATH"
    }`;
  }
  if (clientCert === "") {
    return "the server asks for a client certificate: set REDIS_CLIENT_CERT_PATH and REDIS_CLIENT_KEY_PATH";
  }
  const { validTo } = new X509Certificate(clientCert);
  return Date.parse(validTo) < clock.nowMs()
    ? `the client certificate in REDIS_CLIENT_CERT_PATH has expired on ${day(validTo)}: renew it`
    : "the server does not take the client certificate in REDIS_CLIENT_CERT_PATH: its tls-ca-cert-file must have the " +
      "authority that signed it";
}

/** Deno 2.6 writes IPv4 addresses in hexadecimal digits. */
function readableNames({ subjectaltname = "" }: PeerCertificate): string {
  return subjectaltname.replace(
    /IP Address:([0-9A-F]{8})\b/g,
    (_, digits: string) => `IP Address:${digits.match(/../g)!.map((byte) => parseInt(byte, 16)).join(".")}`,
  );
}

/** The certificate of whoever listens there; `null`: none was shown. */
function seeCertificate({ host, port }: Server, looking: Looking): Promise<PeerCertificate | null> {
  const open = () => connectTls({ host, port, rejectUnauthorized: false });
  return lookThrough(open, looking, (socket, see) => {
    socket.once("secureConnect", () => {
      const certificate = (socket as ReturnType<typeof connectTls>).getPeerCertificate();
      see(certificate?.valid_to ? certificate : null);
    });
  });
}

/** What is answered there without TLS, to PING or to nothing; empty: nothing. */
async function askPlainly({ host, port }: Server, looking: Looking): Promise<string> {
  const answer = await lookThrough(
    () => connectPlain({ host, port }),
    looking,
    (socket, see: (text: string) => void) => {
      socket.once("connect", () => socket.write("PING\r\n"));
      socket.once("data", (bytes) => see(String(bytes)));
    },
  );
  return answer ?? "";
}

/** What was seen over a connection, which is closed then; `null`: nothing in time. */
async function lookThrough<T>(
  open: () => Socket,
  { clock, signal }: Looking,
  look: (socket: Socket, see: (seen: T | null) => void) => void,
): Promise<T | null> {
  const seen = Promise.withResolvers<T | null>(), over = new AbortController();
  let socket: Socket | null = null;
  try {
    socket = open();
    socket.on("error", () => seen.resolve(null));
    socket.once("close", () => seen.resolve(null));
    look(socket, seen.resolve);
    return await Promise.race([
      seen.promise,
      clock.sleep(LOOK_MS, AbortSignal.any([over.signal, signal])).then(() => null),
    ]);
  } catch {
    return null;
  } finally {
    over.abort();
    socket?.destroy();
  }
}
