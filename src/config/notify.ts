/**
 * What the notify file says: receivers, routes and the limits of incidents. What every command needs; the file of
 * `REMEDIATION_NOTIFY_PATH` is parsed by `notify_file.ts`, which is loaded only if there is a file.
 */
import type { SpanText } from "./span.ts";

/** Kinds of incidents. Closed set: metrics, routes and the schema of the notify file use exactly these. */
export const INCIDENT_KINDS = [
  /** Messages went to the dead list; the cause is the reason, such as `poison`. */
  "dead",
  /** A gate has held replay for long; the cause is its name. */
  "gate_closed",
  /** A DLQ holds more messages than a limit. */
  "depth",
  /** The oldest message of a DLQ is older than a limit. */
  "age",
  /** Nothing moves though messages wait and no gate holds them. */
  "stalled",
  "job_failed",
  "job_finished",
  /** A changed configuration was not taken; the cause is where it comes from. */
  "config_rejected",
  /** No instance leads a source. */
  "no_leader",
] as const;
/** One of {@link INCIDENT_KINDS}. */
export type IncidentKind = (typeof INCIDENT_KINDS)[number];

/** How urgent an incident is, from low to high. */
export const SEVERITIES = ["info", "warning", "critical"] as const;
/** One of {@link SEVERITIES}. */
export type Severity = (typeof SEVERITIES)[number];

/** Whether a severity is at least another. */
export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least);
}

/** Types of receivers. Closed set. */
export const RECEIVER_TYPES = ["slack", "email", "teams", "pagerduty", "webhook", "alertmanager"] as const;
/** One of {@link RECEIVER_TYPES}. */
export type ReceiverType = (typeof RECEIVER_TYPES)[number];

/** A span in which notices are held until its end. */
export interface QuietHours extends SpanText {
  /** Least severity that is sent at once all the same; `none`: everything is held. */
  readonly except: Severity | "none";
}

/** Mustache templates that replace parts of a notice; `null`: the built-in words. */
export interface NoticeTemplate {
  readonly title: string | null;
  readonly text: string | null;
}

/** What all receivers have. Paths of files are as the file gives them. */
export interface ReceiverBase {
  readonly name: string;
  /** Least time between two updates of an incident. */
  readonly updateSeconds: number;
  readonly quietHours: readonly QuietHours[];
  readonly template: NoticeTemplate;
  /** File with certificates of authorities that are trusted too; `null`: only the system's. */
  readonly caFile: string | null;
}

/** A Slack incoming webhook. Its address is a secret. */
export interface SlackDefinition extends ReceiverBase {
  readonly type: "slack";
  readonly urlFile: string;
}

/** A Microsoft Teams workflow webhook. Its address is a secret. */
export interface TeamsDefinition extends ReceiverBase {
  readonly type: "teams";
  readonly urlFile: string;
}

/** How the connection to a mail server is encrypted: after STARTTLS, from the beginning, or not at all. */
export const MAIL_TLS = ["starttls", "implicit", "none"] as const;
/** One of {@link MAIL_TLS}. */
export type MailTls = (typeof MAIL_TLS)[number];

/** A mail server and those who get mail. */
export interface EmailDefinition extends ReceiverBase {
  readonly type: "email";
  readonly host: string;
  readonly port: number;
  readonly tls: MailTls;
  readonly from: string;
  readonly to: readonly string[];
  /** `null`: no login. */
  readonly login: Login | null;
}

/** A user and the file with the password. */
export interface Login {
  readonly username: string;
  readonly passwordFile: string;
}

/** PagerDuty's Events API v2. */
export interface PagerDutyDefinition extends ReceiverBase {
  readonly type: "pagerduty";
  readonly routingKeyFile: string;
  /** Base of the address. */
  readonly url: string;
}

/** A URL that takes Standard Webhooks. */
export interface WebhookDefinition extends ReceiverBase {
  readonly type: "webhook";
  /** The address, or the file that holds it. */
  readonly address: { readonly url: string } | { readonly urlFile: string };
  readonly secretFile: string;
}

/** An Alertmanager. */
export interface AlertmanagerDefinition extends ReceiverBase {
  readonly type: "alertmanager";
  /** Base of its addresses. */
  readonly url: string;
  readonly login: Login | null;
  /** Labels that each alert gets in addition. */
  readonly labels: Readonly<Record<string, string>>;
}

/** One receiver. */
export type ReceiverDefinition =
  | SlackDefinition
  | EmailDefinition
  | TeamsDefinition
  | PagerDutyDefinition
  | WebhookDefinition
  | AlertmanagerDefinition;

/** Which incidents go to which receivers. Every route that fits is used. */
export interface Route {
  /** An incident of any of these sources; `null`: of any source or none. */
  readonly sources: readonly string[] | null;
  readonly kinds: readonly IncidentKind[];
  /** Least severity. */
  readonly severity: Severity;
  /** Names of receivers. */
  readonly receivers: readonly string[];
}

/** When incidents of each kind begin and end; `off`: never. As the file says it. */
export interface IncidentRules {
  /** Begins at `count` dead messages of one reason within `withinSeconds`; ends when there was none for `quietSeconds`. */
  readonly dead:
    | { readonly count: number; readonly withinSeconds: number; readonly quietSeconds: number }
    | "off";
  /** Begins when a gate that is not in `except` has been closed for `afterSeconds`. `except` holds names of gates. */
  readonly gate_closed: { readonly afterSeconds: number; readonly except: readonly string[] } | "off";
  /** Begins above `above` messages; ends below 80 % of that. */
  readonly depth: { readonly above: number } | "off";
  readonly age: { readonly aboveSeconds: number } | "off";
  readonly stalled: { readonly afterSeconds: number } | "off";
  readonly job_failed: Readonly<Record<never, never>> | "off";
  readonly job_finished: Readonly<Record<never, never>> | "off";
  readonly config_rejected: Readonly<Record<never, never>> | "off";
  readonly no_leader: { readonly afterSeconds: number } | "off";
}

/** A parsed notify file with its defaults filled in. */
export interface NotifyFile {
  /** Base of the links in notices, without a slash at its end; `null`: no links. */
  readonly consoleUrl: string | null;
  /** Default of the receivers. */
  readonly updateSeconds: number;
  readonly receivers: readonly ReceiverDefinition[];
  readonly routes: readonly Route[];
  readonly incidents: IncidentRules;
}

/** Rules where the file has none. The gates that people close are left out. */
export const DEFAULT_RULES: IncidentRules = {
  dead: { count: 1, withinSeconds: 300, quietSeconds: 600 },
  gate_closed: { afterSeconds: 300, except: ["enabled", "pause", "window", "job"] },
  depth: { above: 10_000 },
  age: { aboveSeconds: 3_600 },
  stalled: { afterSeconds: 600 },
  job_failed: {},
  job_finished: {},
  config_rejected: {},
  no_leader: { afterSeconds: 120 },
};

/** Least time between two updates of an incident to one receiver, unless the file says otherwise. */
export const DEFAULT_UPDATE_SECONDS = 1_800;

/** A missing file: incidents are recorded, and told to nobody. */
export const NO_NOTIFY_FILE: NotifyFile = {
  consoleUrl: null,
  updateSeconds: DEFAULT_UPDATE_SECONDS,
  receivers: [],
  routes: [],
  incidents: DEFAULT_RULES,
};

/** The parsed file, or every problem with its path, value and the expected value. */
export type ParsedNotify =
  | { readonly ok: true; readonly file: NotifyFile; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Parses the text of a notify file. */
export type NotifyParser = (text: string, context: NotifyContext) => ParsedNotify;

/** What the file is checked against. */
export interface NotifyContext {
  /** Reads a file that it names. Throws when it cannot. */
  readonly readFile: (path: string) => string;
  /** A file's permission bits. Default: only its owner has access. */
  readonly fileMode?: (path: string) => number;
  /** Names of all gates; `null`: they are not checked. */
  readonly gates: readonly string[] | null;
  /** Names of all sources, for warnings; `null`: they are not checked. */
  readonly sources: readonly string[] | null;
}

/** Maximum size of the file, in bytes. */
export const MAX_NOTIFY_BYTES = 1_048_576;
