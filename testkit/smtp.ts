/** Real SMTP servers on loopback: an obedient one (smtp-server), and one that misbehaves as a script says. */
import type { AddressInfo } from "node:net";
import net from "node:net";
import { SMTPServer } from "smtp-server";
import { certificateFiles } from "./tls.ts";

/** A mail that the server took. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body as they came, with line feeds only. */
  readonly text: string;
  readonly isEncrypted: boolean;
  readonly user: string | null;
}

/** How the server behaves. */
export interface SmtpOptions {
  /** Default: `none`. The certificate is `localhost`'s. */
  readonly tls?: "none" | "starttls" | "implicit";
  /** Whether a login is needed, as `user` with this password. Default: no login. */
  readonly password?: string;
  /** Replies to recipients instead of taking them: code and text, by address. Changed while it runs. */
  readonly refuse?: Map<string, { readonly code: number; readonly text: string }>;
  /** Replies to the mail itself. */
  readonly data?: { readonly code: number; readonly text: string };
  /** Largest mail, in bytes, as the server announces it. */
  readonly maxBytes?: number;
}

/** A running server. */
export interface SmtpServer {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  stop(): Promise<void>;
}

/** Starts an obedient server. */
export async function startSmtpServer(
  { tls = "none", password, refuse = new Map(), data, maxBytes }: SmtpOptions = {},
): Promise<SmtpServer> {
  const mails: ReceivedMail[] = [];
  const { cert, key } = certificateFiles("localhost");
  const server = new SMTPServer({
    ...{ secure: tls === "implicit", cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) },
    ...{ disableReverseLookup: true, logger: false, closeTimeout: 100, authOptional: password === undefined },
    disabledCommands: [...tls === "none" ? ["STARTTLS"] : [], ...password === undefined ? ["AUTH"] : []],
    allowInsecureAuth: tls === "none",
    ...(maxBytes === undefined ? {} : { size: maxBytes }),
    onAuth: ({ username, password: given }, _session, done) =>
      username === "user" && given === password
        ? done(null, { user: username })
        : done(replyOf({ code: 535, text: `5.7.8 ${username} ${given} is wrong` })),
    onRcptTo({ address }, _session, done) {
      const reply = refuse.get(address);
      reply ? done(replyOf(reply)) : done();
    },
    onData(stream, session, done) {
      const decoder = new TextDecoder();
      let text = "";
      stream.on("data", (part: Uint8Array) => text += decoder.decode(part, { stream: true }));
      stream.on("end", () => {
        if (data) return done(replyOf(data));
        mails.push({
          from: session.envelope.mailFrom ? session.envelope.mailFrom.address : "",
          to: session.envelope.rcptTo.map(({ address }) => address),
          text: text.replaceAll("\r\n", "\n"),
          isEncrypted: session.secure,
          user: typeof session.user === "string" ? session.user : null,
        });
        done();
      });
    },
  });
  server.on("error", () => {}); // a client that breaks off
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function replyOf({ code, text }: { code: number; text: string }): Error {
  return Object.assign(new Error(text), { responseCode: code });
}

/** What a scripted server does with each line: replies, hangs (`null`), or closes. */
export type SmtpScript = (line: string) => string | null | "close";

/** Starts a server that greets with `greeting` (`null`: not at all) and answers each line as the script says. */
export async function startScriptedSmtp(
  { greeting, script }: { greeting: string | null | "close"; script: SmtpScript },
): Promise<{ readonly port: number; readonly lines: readonly string[]; stop(): Promise<void> }> {
  const lines: string[] = [], sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    const answer = (reply: string | null) => {
      if (reply === "close") socket.destroy();
      else if (reply !== null) socket.write(`${reply}\r\n`);
    };
    answer(greeting);
    let rest = "";
    socket.on("data", (part: Uint8Array) => {
      const parts = (rest + new TextDecoder().decode(part)).split("\r\n");
      rest = parts.pop()!;
      for (const line of parts) {
        lines.push(line);
        answer(script(line));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    lines,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
