/**
 * Diagnoses why a connection fails. The compiled binary reports every TLS failure with the same text, and the client drops the
 * error that a server sends before it closes the connection. So this module opens connections that verify nothing, and sends
 * only PING over them.
 */
import { X509Certificate } from "node:crypto";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from "node:tls";
import type { Server } from "../config/redis_url.ts";
import type { Clock } from "../runtime/clock.ts";
import { StoreError, toStoreError } from "./errors.ts";

/** Timeout of one probing connection, in milliseconds. */
const LOOK_MS = 2_000;

/** Options of {@link findConnectionFault}. */
export interface ConnectionFaultOptions {
  readonly clock: Clock;
  /** Whether the service is configured for TLS. */
  readonly wantsTls: boolean;
  /** The name that the server's certificate must have. */
  readonly name: string;
  /** PEM text of the authority; empty: the system's authorities. */
  readonly caCert: string;
  /** PEM text of the client certificate; empty: none. */
  readonly clientCert: string;
  /** Aborts the diagnosis. */
  readonly signal: AbortSignal;
}

type Looking = Pick<ConnectionFaultOptions, "clock" | "signal">;

/** Errors that Redis sends to a new connection (`networking.c`). */
const GREETINGS = /^-(DENIED |ERR max number of clients)/;

/** Returns the fault and its remedy, or the server's own error; `null` if it finds nothing. Does IO. Never rejects. */
export async function findConnectionFault(server: Server, options: ConnectionFaultOptions): Promise<StoreError | null> {
  const { wantsTls } = options;
  const answer = wantsTls ? "" : await askPlainly(server, options);
  if (answer !== "") return greeting(answer);
  const certificate = await seeCertificate(server, options);
  if (certificate !== null) {
    const fault = wantsTls ? judge(certificate, options) ?? await tryVerified(server, { certificate, options }) : null;
    if (wantsTls) return fault === null ? null : tlsFault(fault);
    return tlsFault("that port talks TLS: set REDIS_TLS_ENABLED=true, or use the port without TLS");
  }
  const plainly = wantsTls ? await askPlainly(server, options) : "";
  return greeting(plainly) ??
    (/^[+-]/.test(plainly)
      ? tlsFault(
        "that port does not talk TLS: set REDIS_TLS_ENABLED=false (or redis:// for rediss://), or use the TLS port",
      )
      : null);
}

function tlsFault(text: string): StoreError {
  return new StoreError(`TLS: ${text}`, { code: "TLS", isCertain: true });
}

/** Returns the error that a server sent before it closed the connection; `null` if the answer is none of these. */
function greeting(answer: string): StoreError | null {
  return GREETINGS.test(answer) ? toStoreError(answer.slice(1)) : null;
}

/** Returns the fault of the certificate itself; `null` if it has none. */
function judge(certificate: PeerCertificate, { clock, name }: ConnectionFaultOptions): string | null {
  const { valid_from: from, valid_to: to } = certificate;
  if (Date.parse(to) < clock.nowMs()) return `the server's certificate expired on ${day(to)}: renew it`;
  if (Date.parse(from) > clock.nowMs()) {
    return `the server's certificate is not valid before ${day(from)}: check this machine's clock`;
  }
  const names = readableNames(certificate);
  return checkServerIdentity(name, { ...certificate, subjectaltname: names })
    ? `the server's certificate is for ${
      names || "no name at all"
    }, not for ${name}: set REDIS_TLS_SERVER_NAME to a name ` +
      "from the certificate, or give the server a certificate for that name"
    : null;
}

function day(text: string): string {
  return new Date(text).toISOString().slice(0, 10);
}

/** Checks whether the authority matches, and whether the server accepts a client without a certificate. `null`: both. */
async function tryVerified(
  { host, port }: Server,
  { certificate, options }: { certificate: PeerCertificate; options: ConnectionFaultOptions },
): Promise<string | null> {
  const { clock, caCert, clientCert, name } = options;
  // An IP address as server name would be refused. `judge` has already checked the names.
  const servername = isIP(name) ? {} : { servername: name };
  let isVerified = false;
  const open = () => connectTls({ host, port, ...servername, ...(caCert ? { ca: caCert } : {}) });
  const isAnswered = await lookThrough(open, options, (socket, see: (seen: boolean) => void) => {
    socket.once("secureConnect", () => {
      isVerified = true;
      socket.write("PING\r\n");
    });
    socket.once("data", () => see(true));
    // Deno 2.6 reports a connection as secure before it has verified the certificate. The error follows the first write.
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
    ? `the client certificate in REDIS_CLIENT_CERT_PATH expired on ${day(validTo)}: renew it`
    : "the server rejects the client certificate in REDIS_CLIENT_CERT_PATH: its tls-ca-cert-file must contain the " +
      "authority that signed it";
}

/** Makes IPv4 addresses readable: Deno 2.6 writes them in hexadecimal digits. */
function readableNames({ subjectaltname = "" }: PeerCertificate): string {
  return subjectaltname.replace(
    /IP Address:([0-9A-F]{8})\b/g,
    (_, digits: string) => `IP Address:${digits.match(/../g)!.map((byte) => parseInt(byte, 16)).join(".")}`,
  );
}

/** Returns the certificate of the server; `null` if it sent none. */
function seeCertificate({ host, port }: Server, looking: Looking): Promise<PeerCertificate | null> {
  const open = () => connectTls({ host, port, rejectUnauthorized: false });
  return lookThrough(open, looking, (socket, see) => {
    socket.once("secureConnect", () => {
      const certificate = (socket as ReturnType<typeof connectTls>).getPeerCertificate();
      see(certificate?.valid_to ? certificate : null);
    });
  });
}

/** Returns the server's answer without TLS, sent on connect or as a reply to PING; empty if there is none. */
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

/** Opens a connection, runs `look` on it and closes it. Returns the result of `look`; `null` if it finds nothing in time. */
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
