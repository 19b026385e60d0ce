/**
 * The only module that talks to the mail library (nodemailer). It uses the library's connection and composer instead of its transport, which
 * cannot be stopped. Three details: with STARTTLS nothing is said before the connection is encrypted; errors show the server's code, never its
 * text, which could repeat the password; the library never reads files or URLs.
 */
import type { Buffer } from "node:buffer";
import net from "node:net";
import tls from "node:tls";
import MailComposer from "nodemailer/lib/mail-composer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import type { MailTls } from "../../config/notify.ts";
import { readFailure } from "../../runtime/bounded_fetch.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Secret } from "../../runtime/secret.ts";
import { ReceiverError, type ReceiverFailure } from "../receiver.ts";
import type { Mail } from "./email.ts";

/** Longest that each step of a connection may take, in milliseconds. All together are bounded by the caller's signal. */
const STEP_MS = 10_000;
/** How long the server may take to say goodbye after it has taken the mail. */
const QUIT_MS = 1_000;
/** Most bytes of one reply. */
const REPLY_BYTES = 16_384;
/** Name in EHLO. The name of the machine is not asked for, and in a container it would be no name at all (RFC 5321, section 4.1.3). */
const CLIENT_NAME = "[127.0.0.1]";

/** A mail and where it goes. */
export interface MailOrder {
  readonly host: string;
  readonly port: number;
  readonly tls: MailTls;
  /** PEM certificates of authorities to trust too; `null`: only the system's. */
  readonly authorities: string | null;
  readonly login: { readonly username: string; readonly password: Secret } | null;
  /** Address of the sender, and those of the recipients. */
  readonly from: string;
  readonly to: readonly string[];
  readonly mail: Mail;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Recipients that the server did not take: for now, or for good. */
export interface MailOutcome {
  readonly deferred: readonly string[];
  readonly refused: readonly string[];
}

/** Sends a mail. Resolves when the server has taken it for at least one recipient. @throws {ReceiverError} */
export async function sendMail(order: MailOrder): Promise<MailOutcome> {
  const { host, port, login, from, to, mail, clock, signal } = order;
  const socket = openSocket(order), connection = createConnection(order, socket);
  const connected = Promise.withResolvers<void>(), ended = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {}); // it may fail after the mail was taken
  socket.once(order.tls === "implicit" ? "secureConnect" : "connect", connected.resolve);
  socket.once("error", failed.reject);
  connection.on("error", failed.reject);
  connection.on("end", ended.resolve);
  const stop = () => failed.reject(new ReceiverError("aborted", "sending was stopped"));
  signal.addEventListener("abort", stop, { once: true });
  const step = <T>(run: (done: (error?: Error | null, result?: T) => void) => void) =>
    Promise.race([
      failed.promise,
      new Promise<T>((resolve, reject) => run((error, result) => error ? reject(error) : resolve(result as T))),
    ]);
  try {
    const message = await compose(mail);
    await Promise.race([failed.promise, connected.promise]);
    await step((done) => connection.connect(done));
    if (login !== null) {
      await step((done) => connection.login({ user: login.username, pass: login.password.reveal() }, done));
    }
    const info = await step<SentInfo>((done) =>
      connection.send({ from, to: [...to], size: message.length }, message, done)
    );
    connection.quit();
    await Promise.race([ended.promise, clock.sleep(QUIT_MS, signal)]);
    return sortRejected(info);
  } catch (error) {
    throw error instanceof ReceiverError ? error : toReceiverError(error as SmtpError, `${host}:${port}`);
  } finally {
    signal.removeEventListener("abort", stop);
    connection.close();
    socket.destroy();
  }
}

/**
 * Opens the connection, with TLS if that comes first. The library's resolver does not know a cluster's search domains, and its TLS from the
 * first byte hangs with a host name on an older runtime (2.6).
 */
function openSocket({ host, port, tls: kind, authorities }: MailOrder): net.Socket {
  return kind === "implicit" ? tls.connect({ host, port, ...trust(authorities) }) : net.connect({ host, port });
}

function trust(authorities: string | null): { ca?: string[] } {
  return authorities === null ? {} : { ca: [authorities] };
}

function createConnection({ host, port, tls, authorities }: MailOrder, socket: net.Socket): SMTPConnection {
  return new SMTPConnection({
    ...{ connection: socket, host, port, name: CLIENT_NAME },
    ...{ secure: tls === "implicit", secured: tls === "implicit" },
    ...{ requireTLS: tls === "starttls", ignoreTLS: tls === "none" },
    ...{ connectionTimeout: STEP_MS, greetingTimeout: STEP_MS, socketTimeout: STEP_MS },
    ...{ socketCloseTimeout: 0, maxResponseSize: REPLY_BYTES, logger: false },
    tls: trust(authorities),
  });
}

function compose({ from, to, subject, text, html, messageId, threadId, atMs }: Mail): Promise<Buffer> {
  const composer = new MailComposer({
    ...{ from: toParts(from), to: to.map(toParts), subject, text, html, messageId, date: new Date(atMs) },
    ...(threadId === null ? {} : { inReplyTo: threadId, references: threadId }),
    headers: { "Auto-Submitted": "auto-generated" },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  return composer.compile().build();
}

/** Taken apart here, so that the library does not have to: to it, parentheses in a name are a comment. */
function toParts(address: string): { name: string; address: string } {
  const [, name = "", bare = address] = /^(.*) <(.+)>$/.exec(address) ?? [];
  return { name, address: bare };
}

/** What the library reports of a mail that was taken. */
interface SentInfo {
  readonly rejectedErrors?: readonly SmtpError[] | undefined;
}

/** An error of the library. */
interface SmtpError extends Error {
  readonly code?: string | undefined;
  readonly originalCode?: string | undefined;
  /** The server's reply as a number. */
  readonly responseCode?: number | false | undefined;
  readonly response?: string | undefined;
  readonly command?: string | undefined;
  readonly recipient?: string | undefined;
}

function sortRejected({ rejectedErrors = [] }: SentInfo): MailOutcome {
  const addresses = (isDeferred: boolean) =>
    rejectedErrors.filter((error) => isTransient(error) === isDeferred).map(({ recipient = "" }) => recipient);
  return { deferred: addresses(true), refused: addresses(false) };
}

function isTransient({ responseCode }: SmtpError): boolean {
  return !responseCode || responseCode < 500;
}

/** Replies that say that a login is missing or wrong, and that the mail is too large (RFC 4954, RFC 1870). */
const AUTH_REPLIES: readonly unknown[] = [530, 534, 535, 538], SIZE_REPLIES: readonly unknown[] = [523, 552];

/** What the library's codes mean if no reply of the server says more. */
const CODES: Readonly<Record<string, ReceiverFailure>> = {
  ETIMEDOUT: "timeout",
  ETLS: "tls",
  EDNS: "unreachable",
  ECONNECTION: "unreachable",
  EAUTH: "unauthorized",
  EPROTOCOL: "lied",
  EMESSAGE: "too_large",
  EENVELOPE: "refused",
};

const WORDS: Readonly<Partial<Record<ReceiverFailure, string>>> = {
  timeout: "did not answer in time",
  tls: "TLS failed, or it offers none: check tls and caFile",
  unreachable: "cannot be reached, or closed the connection",
  unauthorized: "did not accept username and password, or wants a login",
  lied: "does not speak SMTP as it should",
  too_large: "does not take mail of this size",
};

function toReceiverError(error: SmtpError, name: string): ReceiverError {
  const code = judge(error), reply = describeReply(error);
  const words = WORDS[code] ?? (code === "unavailable" ? "does not take the mail now" : "refused the mail");
  return new ReceiverError(code, `${name} ${words}${reply}`);
}

function judge(error: SmtpError): ReceiverFailure {
  const { code = "", responseCode } = error;
  if (responseCode) {
    if (responseCode < 400) return "lied";
    if (responseCode < 500) return code === "ETLS" ? "tls" : "unavailable";
    if (code === "EAUTH" || AUTH_REPLIES.includes(responseCode)) return "unauthorized";
    return code === "ETLS" ? "tls" : SIZE_REPLIES.includes(responseCode) ? "too_large" : "refused";
  }
  return isTlsFlaw(error) ? "tls" : CODES[code] ?? "unreachable";
}

/** A bad certificate is an error of the socket, with a code of OpenSSL's. */
function isTlsFlaw(error: SmtpError): boolean {
  const isNamed = /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(`${error.code} ${error.originalCode}`);
  return isNamed || readFailure(error).kind === "tls";
}

/** The numbers of the server's reply and the command: ` (550 5.7.1 to RCPT TO)`. */
function describeReply({ responseCode, response = "", command = "" }: SmtpError): string {
  if (!responseCode) return "";
  const enhanced = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1];
  const to = /^[A-Z]{2,8}(?: (?:FROM|TO|[A-Z0-9-]{2,12}))?$/.test(command) ? ` to ${command}` : "";
  return ` (${responseCode}${enhanced === undefined ? "" : ` ${enhanced}`}${to})`;
}
