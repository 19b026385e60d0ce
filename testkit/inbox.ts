/** A server for each type of receiver, and the notify file that names them. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { RECEIVER_TYPES, type ReceiverType } from "../src/config/notify.ts";
import { startSmtpServer } from "./smtp.ts";

/** A notice that a receiver got. */
export interface ReceivedNotice {
  readonly receiver: ReceiverType;
  /** Whether it says that its incident is over. */
  readonly isOver: boolean;
  readonly title: string;
  /** Id of the notice, or of its incident, if the receiver is told one; else empty. */
  readonly id: string;
}

/** What the file says beside its receivers: JSON. */
export interface InboxOptions {
  /** An existing folder for the file and its secrets. */
  readonly dir: string;
  readonly consoleUrl?: string;
  readonly routes?: readonly object[];
  readonly incidents?: object;
  /** Receivers; default: all types. */
  readonly types?: readonly ReceiverType[];
}

/** Running servers. A receiver has the name of its type. */
export interface Inbox extends AsyncDisposable {
  /** Path of the notify file. */
  readonly path: string;
  /** Oldest first. An Alertmanager is told again and again, so only changes are listed. */
  notices(): readonly ReceivedNotice[];
  /** Titles that a receiver got, oldest first. */
  titles(receiver: ReceiverType): readonly string[];
}

type Parse = (body: string, request: IncomingMessage) => Omit<ReceivedNotice, "receiver">;

/** What each HTTP receiver is sent, and how a healthy one answers. */
const HTTP: Readonly<
  Record<Exclude<ReceiverType, "email">, { path: string; status: number; body: string; parse: Parse }>
> = {
  slack: {
    ...{ path: "/slack", status: 200, body: "ok" },
    parse: (body) => titled(JSON.parse(body).text),
  },
  teams: {
    ...{ path: "/teams", status: 202, body: "" },
    parse: (body) => titled(JSON.parse(body).attachments[0].content.body[0].inlines[0].text),
  },
  pagerduty: {
    ...{ path: "/v2/enqueue", status: 202, body: `{"status":"success","message":"Event processed","dedup_key":"x"}` },
    parse: (body) => {
      const { event_action: action, dedup_key: id, payload } = JSON.parse(body);
      return { title: payload?.summary ?? "", id: `${id} ${action}`, isOver: action === "resolve" };
    },
  },
  webhook: {
    ...{ path: "/webhook", status: 200, body: "" },
    parse: (body, { headers }) => {
      const { type, data } = JSON.parse(body);
      return { title: data.title, id: String(headers["webhook-id"]), isOver: type === "incident.ended" };
    },
  },
  alertmanager: {
    ...{ path: "/api/v2/alerts", status: 200, body: "" },
    parse: (body) => {
      const [{ labels, annotations, startsAt, endsAt }] = JSON.parse(body);
      const id = `${labels.alertname} ${labels.cause} ${startsAt}`;
      return { title: annotations.summary, id, isOver: endsAt !== undefined && Date.parse(endsAt) <= Date.now() };
    },
  },
};

/** Starts the servers and writes the file. */
export async function startInbox(options: InboxOptions): Promise<Inbox> {
  await using parts = new AsyncDisposableStack();
  const got: ReceivedNotice[] = [];
  const server = createServer(async (request, response) => {
    const [type, { status, body, parse }] = Object.entries(HTTP).find(([, { path }]) => request.url === path)!;
    let text = "";
    for await (const part of request.setEncoding("utf8")) text += part;
    got.push({ receiver: type as ReceiverType, ...parse(text, request) });
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  parts.defer(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const smtp = await startSmtpServer();
  parts.defer(() => smtp.stop());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const path = await writeFile(options, { url, smtpPort: smtp.port });
  const notices = () =>
    withoutRepeats([...got, ...smtp.mails.map(({ text }) => ({ receiver: "email", ...readMail(text) } as const))]);
  const owned = parts.move();
  return {
    ...{ path, notices },
    titles: (receiver) => notices().filter((one) => one.receiver === receiver).map(({ title }) => title),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function writeFile(
  { dir, types = RECEIVER_TYPES, ...options }: InboxOptions,
  { url, smtpPort }: { url: string; smtpPort: number },
): Promise<string> {
  const secret = async (name: string, text: string) => {
    await Deno.writeTextFile(`${dir}/${name}`, text, { mode: 0o600 });
    return `${dir}/${name}`;
  };
  const all: Readonly<Record<ReceiverType, object>> = {
    slack: { type: "slack", urlFile: await secret("slack-url", `${url}${HTTP.slack.path}`) },
    email: {
      ...{ type: "email", host: "127.0.0.1", port: smtpPort, tls: "none" },
      ...{ from: "remediation@example.org", to: ["ops@example.org"] },
    },
    teams: { type: "teams", urlFile: await secret("teams-url", `${url}${HTTP.teams.path}`) },
    pagerduty: {
      type: "pagerduty",
      url,
      routingKeyFile: await secret("routing-key", "0123456789abcdef0123456789abcdef"),
    },
    webhook: {
      ...{ type: "webhook", url: `${url}${HTTP.webhook.path}` },
      secretFile: await secret("webhook-secret", `whsec_${btoa("a secret of the test: 32 bytes..")}`),
    },
    alertmanager: { type: "alertmanager", url },
  };
  const receivers = Object.fromEntries(types.map((type) => [type, all[type]]));
  const path = `${dir}/notify.json`;
  await Deno.writeTextFile(path, JSON.stringify({ ...options, receivers }));
  return path;
}

function titled(title: string): Omit<ReceivedNotice, "receiver"> {
  return { title, id: "", isOver: title.startsWith("Over: ") };
}

function readMail(text: string): Omit<ReceivedNotice, "receiver"> {
  const header = (name: string) =>
    new RegExp(`^${name}: (.*(?:\\n[ \\t].*)*)`, "mi").exec(text)?.[1]?.replace(/\n\s+/g, " ") ?? "";
  return { ...titled(header("Subject")), id: header("Message-ID") };
}

function withoutRepeats(all: readonly ReceivedNotice[]): readonly ReceivedNotice[] {
  const seen = new Set<string>();
  return all.filter(({ receiver, id, isOver }) => {
    if (receiver !== "alertmanager") return true;
    const key = `${id} ${isOver}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
