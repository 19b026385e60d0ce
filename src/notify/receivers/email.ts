/**
 * Mail over SMTP. Three details: a notice's `Message-ID` follows from its id, so that one that is sent twice is recognized; later notices of
 * an incident refer to its first, so that mail clients show a thread; if the server refuses some recipients for now, the next try goes to them
 * only.
 */
import type { DefinitionOf, ReceiverFactory } from "./parts.ts";
import type { Notice } from "../notice.ts";
import { ReceiverError } from "../receiver.ts";
import { cut } from "./text.ts";

/** Most notices that some recipients still have to get. */
const MAX_PARTLY_SENT = 100;

/** Creates the receiver. The mail library is loaded with the first notice. */
export const createEmail: ReceiverFactory<"email"> = (definition, tools) => {
  const { host, port, tls, login, from, to } = definition, { authorities } = tools;
  const password = login && tools.secretFile("passwordFile", { path: login.passwordFile, kind: "password" });
  const left = new Map<string, readonly string[]>();
  return {
    async send(notice, signal) {
      const { sendMail } = await import("./smtp.ts");
      const recipients = left.get(notice.id) ?? to;
      const { deferred, refused } = await sendMail({
        ...{ host, port, tls, from: addressOf(from), to: recipients, signal, clock: tools.clock },
        authorities: authorities?.read().reveal() ?? null,
        login: password && { username: login!.username, password: password.read() },
        mail: formatMail(notice, definition),
      });
      left.delete(notice.id);
      if (deferred.length + refused.length === 0) return;
      const taken = `${host}:${port} took the mail for ${recipients.length - deferred.length - refused.length}`;
      if (deferred.length === 0) throw new ReceiverError("refused", `${taken}, and refused ${refused.length}`);
      left.set(notice.id, deferred);
      if (left.size > MAX_PARTLY_SENT) left.delete(left.keys().next().value!);
      throw new ReceiverError("unavailable", `${taken}, and not yet for ${deferred.length}`);
    },
  };
};

/** A mail, without what the server is told. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  readonly messageId: string;
  /** `Message-ID` of the incident's first notice; `null`: this is it. */
  readonly threadId: string | null;
  readonly atMs: number;
}

/** Writes the mail of a notice. Pure. */
export function formatMail(
  { id, event, incident, title, text, url, atMs }: Notice,
  { name, from, to }: Pick<DefinitionOf<"email">, "name" | "from" | "to">,
): Mail {
  const domain = asciiDomain(addressOf(from)), first = `<${incident.id}.${name}@${domain}>`;
  const isLater = event === "updated" || event === "ended";
  const link = url === null ? "" : `<p><a href="${escapeHtml(url)}">Open in the console</a></p>`;
  return {
    ...{ from, to, atMs },
    subject: cut(title, 120),
    text: [title, text, ...(url === null ? [] : [url])].filter((part) => part !== "").join("\n\n") + "\n",
    html: `<!doctype html><html><body><p><strong>${escapeHtml(title)}</strong></p>` +
      `<p>${escapeHtml(text).replaceAll("\n", "<br>\n")}</p>${link}</body></html>\n`,
    messageId: event === "began" ? first : `<${id}.${name}@${domain}>`,
    threadId: isLater ? first : null,
  };
}

/** The address in `Name <address>`. */
function addressOf(from: string): string {
  return /<(.+)>$/.exec(from)?.[1] ?? from;
}

function asciiDomain(address: string): string {
  const url = `http://${address.slice(address.lastIndexOf("@") + 1)}`;
  return URL.canParse(url) ? new URL(url).hostname : "localhost";
}

function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}
