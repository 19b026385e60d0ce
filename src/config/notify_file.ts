/** Parses and validates the notify file (`REMEDIATION_NOTIFY_PATH`). Its only IO is to read the files that it names. */
import { escapeHidden } from "../runtime/control_characters.ts";
import { type FileFields, findFaults } from "./file_fields.ts";
import { describeSyntax, formatPath, isObject, Problems, showValue } from "./file_problems.ts";
import { errorName, quotePath, warnOfReaders } from "./layers.ts";
import {
  DEFAULT_RULES,
  DEFAULT_UPDATE_SECONDS,
  type EmailDefinition,
  INCIDENT_KINDS,
  type IncidentRules,
  type Login,
  type MailTls,
  type NoticeTemplate,
  type NotifyContext,
  type NotifyFile,
  type ParsedNotify,
  type QuietHours,
  RECEIVER_TYPES,
  type ReceiverBase,
  type ReceiverDefinition,
  type ReceiverType,
  type Route,
} from "./notify.ts";
import {
  fieldsOfType,
  INCIDENT_FIELDS,
  KIND_WANTS,
  LABELS_WANTS,
  MAX_RECEIVERS,
  NOTIFY_FIELDS,
  OWN_LABELS,
  QUIET_HOURS_FIELDS,
  RECEIVER_FIELDS,
  ROUTE_FIELDS,
  TEMPLATE_FIELDS,
} from "./notify_fields.ts";
import { isSafe, readSecretText, SECRET_MEMBERS } from "./notify_secrets.ts";
import { findTemplateProblems } from "./notify_template.ts";
import { certificateProblem } from "./pem.ts";
import { isLoopbackUrl } from "./proxy.ts";
import { SOURCE_NAME_PATTERN } from "./sources_file.ts";
import { isSpanEnd, isTimeZone, SPAN_END_WANTS, TIME_ZONE_WANTS, whyNoSpan } from "./span.ts";
import { readYaml, type YamlPath } from "./yaml_text.ts";

/** What the file must be; completes "is not". */
const FILE_WANTS = 'an object {"receivers": {…}}';
/** Depth of the objects that are searched for duplicate names. */
const LEVELS = 6;

/**
 * Parses the text of a notify file, YAML or JSON, and reads the files that it names to check them. Never throws. No text shows a
 * secret.
 */
export function parseNotify(text: string, context: NotifyContext): ParsedNotify {
  const read = readYaml(text);
  if (!read.ok) return { ok: false, problems: [describeSyntax(text, { problem: read.problem, wants: FILE_WANTS })] };
  const problems = new Problems();
  for (const { path, offset } of read.places.findDuplicates(LEVELS)) problems.add(path, "is defined twice", offset);
  const reader = new FileReader(context, problems);
  const file = reader.readFile(read.value);
  if (file === null || problems.count > 0) return { ok: false, problems: problems.tell(text, read.places) };
  return { ok: true, file, warnings: [...reader.warnings, ...warnOfRoutes(file, context)] };
}

type Members = Readonly<Record<string, unknown>>;
/** Reads a member that is an object or a list. */
type NestedReader = (value: unknown, path: YamlPath) => unknown;

/** Reads the values of a file and collects all problems. Its result may be used only if there are no problems. */
class FileReader {
  readonly warnings: string[] = [];
  readonly #context: NotifyContext;
  readonly #problems: Problems;

  constructor(context: NotifyContext, problems: Problems) {
    this.#context = context;
    this.#problems = problems;
  }

  readFile(root: unknown): NotifyFile | null {
    const problems = this.#problems;
    if (!isObject(root)) {
      problems.addValue([], root, FILE_WANTS);
      return null;
    }
    const { $schema, ...value } = root;
    if ($schema !== undefined && typeof $schema !== "string") problems.addValue(["$schema"], $schema, "a string");
    const updateSeconds = findFaults(NOTIFY_FIELDS.updateSeconds, value.updateSeconds).length === 0
      ? value.updateSeconds as number
      : DEFAULT_UPDATE_SECONDS;
    const read = this.#members(value, {
      path: [],
      fields: NOTIFY_FIELDS,
      nested: {
        receivers: (value, path) => this.#receivers(value, { path, updateSeconds }),
        routes: (value, path) => this.#items(value, { path, wants: NOTIFY_FIELDS.routes.wants, most: 100 }),
        incidents: (value, path) => this.#incidents(value, path),
      },
    }) as { consoleUrl?: string; receivers?: ReceiverDefinition[]; routes?: unknown[]; incidents?: IncidentRules };
    if (read.consoleUrl !== undefined) this.#checkBase(read.consoleUrl, ["consoleUrl"]);
    const named = isObject(value.receivers) ? Object.keys(value.receivers) : [];
    const { receivers = [], routes, incidents = DEFAULT_RULES } = read;
    return {
      consoleUrl: read.consoleUrl?.replace(/\/+$/, "") ?? null,
      ...{ updateSeconds, receivers, incidents },
      routes: routes?.map((route, at) => this.#route(route, { path: ["routes", at], named })) ?? defaultRoutes(named),
    };
  }

  /** The valid members of an object. Reports what is unknown, missing or invalid. */
  #members(
    value: Members,
    { path, fields, nested = {} }: {
      path: YamlPath;
      fields: FileFields;
      nested?: Readonly<Record<string, NestedReader>>;
    },
  ): Record<string, unknown> {
    const problems = this.#problems, names = Object.keys(fields);
    for (const member of Object.keys(value)) {
      if (Object.hasOwn(fields, member)) continue;
      const allowed = names.length === 0 ? "no members are allowed" : `use one of ${names.join(", ")}`;
      problems.add([...path, member], `is unknown: ${allowed}`);
    }
    const read: [string, unknown][] = [];
    for (const [member, field] of Object.entries(fields)) {
      const at = [...path, member], given = Object.hasOwn(value, member) ? value[member] : undefined;
      if (!Object.hasOwn(value, member)) {
        if (field.initialText === null) problems.add(at, `is missing: ${field.wants}`);
      } else if (Object.hasOwn(nested, member)) {
        read.push([member, nested[member]!(given, at)]);
      } else {
        const faults = findFaults(field, given);
        if (faults.length === 0) read.push([member, given]);
        for (const fault of faults) {
          const shown = isFileMember(member) ? showPath(fault.value) : showValue(fault.value);
          problems.add([...at, ...fault.path], `${shown} is not ${fault.wants}`);
        }
      }
    }
    return Object.fromEntries(read);
  }

  #items(value: unknown, { path, wants, most }: { path: YamlPath; wants: string; most: number }): readonly unknown[] {
    if (Array.isArray(value) && value.length <= most) return value;
    this.#problems.addValue(path, value, wants);
    return [];
  }

  #receivers(
    value: unknown,
    { path, updateSeconds }: { path: YamlPath; updateSeconds: number },
  ): readonly ReceiverDefinition[] {
    if (!isObject(value)) {
      this.#problems.addValue(path, value, NOTIFY_FIELDS.receivers.wants);
      return [];
    }
    const names = Object.keys(value);
    if (names.length > MAX_RECEIVERS) {
      this.#problems.add(path, `has ${names.length} members, more than ${MAX_RECEIVERS}`);
    }
    return names.slice(0, MAX_RECEIVERS).flatMap((name) =>
      this.#receiver(value[name], { name, path: [...path, name], updateSeconds }) ?? []
    );
  }

  #receiver(
    value: unknown,
    { name, path, updateSeconds }: { name: string; path: YamlPath; updateSeconds: number },
  ): ReceiverDefinition | null {
    const problems = this.#problems;
    if (!new RegExp(SOURCE_NAME_PATTERN).test(name)) {
      problems.add(path, 'is not a receiver\'s name: a to z, then up to 31 of a to z, 0 to 9, "_" and "-"');
    }
    if (!isObject(value)) {
      problems.addValue(path, value, "an object");
      return null;
    }
    const type = Object.hasOwn(value, "type") ? value.type : undefined;
    if (!isReceiverType(type)) {
      if (type === undefined) problems.add([...path, "type"], `is missing: ${RECEIVER_FIELDS.type.wants}`);
      else problems.addValue([...path, "type"], type, RECEIVER_FIELDS.type.wants);
      return null;
    }
    const read = this.#members(value, {
      path,
      fields: fieldsOfType(type),
      nested: {
        quietHours: (value, path) => this.#quietHours(value, path),
        template: (value, path) => this.#template(value, path),
        labels: (value, path) => this.#labels(value, path),
      },
    });
    this.#checkFiles(read, { type, path });
    this.#checkTogether(read, { given: value, type, path });
    return createDefinition(read, { name, type, updateSeconds });
  }

  #quietHours(value: unknown, path: YamlPath): readonly QuietHours[] {
    return this.#items(value, { path, wants: RECEIVER_FIELDS.quietHours.wants, most: 20 }).map((item, at) => {
      const here = [...path, at], none = { from: "", to: "", timeZone: "UTC", except: "critical" } as const;
      if (!isObject(item)) {
        this.#problems.addValue(here, item, "an object with from and to");
        return none;
      }
      const span = { ...none, ...this.#members(item, { path: here, fields: QUIET_HOURS_FIELDS }) } as QuietHours;
      this.#checkSpan(span, here);
      return span;
    });
  }

  #checkSpan(span: QuietHours, path: YamlPath): void {
    const bad = (["from", "to"] as const).filter((end) => !isSpanEnd(span[end]));
    for (const end of bad) if (span[end] !== "") this.#problems.addValue([...path, end], span[end], SPAN_END_WANTS);
    const hasZone = isTimeZone(span.timeZone);
    if (!hasZone) this.#problems.addValue([...path, "timeZone"], span.timeZone, TIME_ZONE_WANTS);
    const wants = bad.length === 0 && hasZone ? whyNoSpan(span) : null;
    if (wants !== null) this.#problems.addValue([...path, "to"], span.to, wants);
  }

  #template(value: unknown, path: YamlPath): NoticeTemplate {
    const none = { title: null, text: null };
    if (!isObject(value) || Object.keys(value).length === 0) {
      this.#problems.addValue(path, value, RECEIVER_FIELDS.template.wants);
      return none;
    }
    const template = { ...none, ...this.#members(value, { path, fields: TEMPLATE_FIELDS }) } as NoticeTemplate;
    for (const part of ["title", "text"] as const) {
      for (const problem of findTemplateProblems(template[part] ?? "")) {
        this.#problems.add([...path, part], escapeHidden(problem));
      }
    }
    return template;
  }

  #labels(value: unknown, path: YamlPath): Readonly<Record<string, string>> {
    if (!isObject(value) || Object.keys(value).length > 20) {
      this.#problems.addValue(path, value, LABELS_WANTS);
      return {};
    }
    for (const [name, text] of Object.entries(value)) {
      if (OWN_LABELS.includes(name)) {
        this.#problems.add([...path, name], `is set by the service, as are ${OWN_LABELS.join(", ")}`);
      } else if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/.test(name)) {
        this.#problems.add([...path, name], "is not the name of a label: letters, digits and _");
      }
      if (typeof text !== "string" || text.length > 200) {
        this.#problems.addValue([...path, name], text, "a text of at most 200 characters");
      }
    }
    return value as Readonly<Record<string, string>>;
  }

  /** Reads every file that a receiver names. */
  #checkFiles(read: Members, { type, path }: { type: ReceiverType; path: YamlPath }): void {
    const kinds = SECRET_MEMBERS[type];
    for (const [member, file] of Object.entries(read).filter(([member]) => isFileMember(member))) {
      const at = [...path, member], shown = showPath(file);
      let text: string;
      try {
        text = this.#context.readFile(file as string);
      } catch (error) {
        const hint = looksLikeContent(file as string) ? " (expected: the path of a file that holds it)" : "";
        this.#problems.add(at, `${shown} cannot be read: ${errorName(error)}${hint}`);
        continue;
      }
      const kind = Object.hasOwn(kinds, member) ? kinds[member]! : null;
      if (kind === null) {
        const problem = certificateProblem(text);
        if (problem !== null) this.#problems.add(at, `${shown} cannot be used: ${problem}`);
        continue;
      }
      const secret = readSecretText(kind, text);
      if (!secret.ok) this.#problems.add(at, `${shown} ${secret.problem}`);
      this.warnings.push(...warnOfReaders(`${formatPath(at)} ${shown}`, file as string, this.#context));
    }
  }

  /** Checks members that depend on one another. */
  #checkTogether(
    read: Members,
    { given, type, path }: { given: Members; type: ReceiverType; path: YamlPath },
  ): void {
    const has = (member: string) => Object.hasOwn(given, member), problems = this.#problems;
    if (type === "email" || type === "alertmanager") {
      for (const [one, other] of [["username", "passwordFile"], ["passwordFile", "username"]] as const) {
        if (has(one) && !has(other)) problems.add([...path, one], `needs ${other} too`);
      }
    }
    if (type === "webhook" && has("url") === has("urlFile")) {
      const text = has("url") ? "and urlFile are both set: use one of them" : "is missing: set it, or urlFile";
      problems.add([...path, "url"], text);
    }
    if (type === "email") {
      this.#checkMail(read as unknown as Partial<EmailDefinition>, { path, hasLogin: has("username") });
    }
    if (typeof read.url === "string" && URL.canParse(read.url)) this.#checkUrl(read.url, { read, type, path });
  }

  #checkMail(
    { host, port, tls = "starttls", caFile }: Partial<EmailDefinition>,
    { path, hasLogin }: { path: YamlPath; hasLogin: boolean },
  ): void {
    if (port === 465 && tls !== "implicit") this.#problems.add([...path, "port"], "465 needs tls: implicit");
    if ((port === 25 || port === 587) && tls === "implicit") {
      this.#problems.add([...path, "port"], `${port} does not begin with TLS: use tls: starttls, or port 465`);
    }
    if (tls !== "none") return;
    if (caFile) this.warnings.push(`${formatPath([...path, "caFile"])} has no effect: tls is none`);
    if (hasLogin && host !== undefined && !isLoopbackHost(host)) {
      this.warnings.push(`${formatPath([...path, "tls"])} is none: the password crosses the network in clear`);
    }
  }

  #checkUrl(text: string, { read, type, path }: { read: Members; type: ReceiverType; path: YamlPath }): void {
    const at = [...path, "url"], url = new URL(text);
    if (type === "webhook") {
      if (url.username !== "" || url.password !== "") {
        this.#problems.add(at, "has a user or password: keep the whole address in a file, and name it with urlFile");
      }
    } else this.#checkBase(text, at);
    if (type === "pagerduty" && !isSafe(url)) {
      this.#problems.addValue(at, text, "an https:// URL: the integration key would cross the network in clear");
    }
    if (type === "alertmanager" && "passwordFile" in read && !isSafe(url)) {
      this.warnings.push(`${formatPath(at)} is not https://: the password crosses the network in clear`);
    }
    if (read.caFile !== undefined && url.protocol === "http:") {
      this.warnings.push(`${formatPath([...path, "caFile"])} has no effect: url is not https://`);
    }
  }

  /** The base of addresses: a path may follow. */
  #checkBase(text: string, path: YamlPath): void {
    const { username, password, search, hash } = new URL(text);
    if (username !== "" || password !== "") this.#problems.add(path, "has a user or password, which is not allowed");
    if (search !== "" || hash !== "") this.#problems.add(path, "has a query or fragment, which is not allowed");
  }

  #route(value: unknown, { path, named }: { path: YamlPath; named: readonly string[] }): Route {
    const none: Route = { sources: null, kinds: DEFAULT_KINDS, severity: "info", receivers: [] };
    if (!isObject(value)) {
      this.#problems.addValue(path, value, "an object with receivers");
      return none;
    }
    const route = { ...none, ...this.#members(value, { path, fields: ROUTE_FIELDS }) } as Route;
    for (const [at, name] of route.receivers.entries()) {
      if (named.includes(name)) continue;
      const allowed = named.length === 0 ? "the file defines no receiver" : `use one of ${named.join(", ")}`;
      this.#problems.add([...path, "receivers", at], `${showValue(name)} is not a receiver: ${allowed}`);
    }
    return route;
  }

  #incidents(value: unknown, path: YamlPath): IncidentRules {
    if (!isObject(value)) {
      this.#problems.addValue(path, value, NOTIFY_FIELDS.incidents.wants);
      return DEFAULT_RULES;
    }
    for (const kind of Object.keys(value)) {
      if (Object.hasOwn(INCIDENT_FIELDS, kind)) continue;
      this.#problems.add([...path, kind], `is unknown: use one of ${INCIDENT_KINDS.join(", ")}`);
    }
    const rules = Object.fromEntries(
      INCIDENT_KINDS.filter((kind) => Object.hasOwn(value, kind)).map((kind) => {
        const given = value[kind], at = [...path, kind];
        if (given === "off") return [kind, given];
        if (!isObject(given)) {
          this.#problems.addValue(at, given, KIND_WANTS);
          return [kind, DEFAULT_RULES[kind]];
        }
        return [kind, {
          ...DEFAULT_RULES[kind] as object,
          ...this.#members(given, { path: at, fields: INCIDENT_FIELDS[kind] }),
        }];
      }),
    );
    const merged = { ...DEFAULT_RULES, ...rules } as IncidentRules;
    this.#checkGates(merged, [...path, "gate_closed", "except"]);
    return merged;
  }

  #checkGates({ gate_closed: gates }: IncidentRules, path: YamlPath): void {
    const { gates: known } = this.#context;
    if (known === null || gates === "off" || gates === DEFAULT_RULES.gate_closed) return;
    if (gates.except === (DEFAULT_RULES.gate_closed as { except: unknown }).except) return;
    for (const [at, name] of gates.except.entries()) {
      if (!known.includes(name)) {
        this.#problems.add([...path, at], `${showValue(name)} is not a gate: use one of ${known.join(", ")}`);
      }
    }
  }
}

/** What goes to everybody without a route: a job that went well is news only for those who asked. */
const DEFAULT_KINDS = INCIDENT_KINDS.filter((kind) => kind !== "job_finished");

function defaultRoutes(receivers: readonly string[]): readonly Route[] {
  return receivers.length === 0 ? [] : [{ sources: null, kinds: DEFAULT_KINDS, severity: "info", receivers }];
}

/** Default ports of mail servers. */
const MAIL_PORTS: Readonly<Record<MailTls, number>> = { starttls: 587, implicit: 465, none: 25 };

/** Fills in the defaults. What it returns can be used only if the file has no problems. */
function createDefinition(
  { username, passwordFile, url, urlFile, ...read }: Members,
  { name, type, updateSeconds }: { name: string; type: ReceiverType; updateSeconds: number },
): ReceiverDefinition {
  const base: ReceiverBase = {
    ...{ name, updateSeconds, quietHours: [], template: { title: null, text: null }, caFile: null },
    ...read,
  };
  const login = username === undefined ? null : { username, passwordFile } as Login;
  const tls = (read.tls ?? "starttls") as MailTls;
  const own: Readonly<Record<ReceiverType, Members>> = {
    slack: { urlFile },
    teams: { urlFile },
    email: { tls, port: MAIL_PORTS[tls], ...read, login },
    pagerduty: { url: withoutSlash(url ?? "https://events.pagerduty.com") },
    webhook: { address: url === undefined ? { urlFile } : { url } },
    alertmanager: { url: withoutSlash(url ?? ""), login, labels: read.labels ?? {} },
  };
  return { ...base, ...own[type], type } as unknown as ReceiverDefinition;
}

function withoutSlash(url: unknown): string {
  return String(url).replace(/\/+$/, "");
}

function warnOfRoutes({ receivers, routes }: NotifyFile, { sources }: NotifyContext): string[] {
  const used = new Set(routes.flatMap((route) => route.receivers));
  return [
    ...receivers.filter(({ name }) => !used.has(name)).map(({ name }) =>
      `${formatPath(["receivers", name])} gets nothing: no route names it`
    ),
    ...routes.flatMap((route, at) =>
      (route.sources ?? []).flatMap((name, index) =>
        sources === null || sources.includes(name)
          ? []
          : [`${formatPath(["routes", at, "sources", index])} has no effect: there is no source ${showValue(name)}`]
      )
    ),
  ];
}

function isReceiverType(value: unknown): value is ReceiverType {
  return (RECEIVER_TYPES as readonly unknown[]).includes(value);
}

function isFileMember(member: string): boolean {
  return member.endsWith("File");
}

function isLoopbackHost(host: string): boolean {
  const url = `http://${host.includes(":") ? `[${host}]` : host}`;
  return URL.canParse(url) && isLoopbackUrl(new URL(url));
}

/** Whether a text may be the secret itself where its file's path belongs: base64 and passwords may contain a slash, too. */
function looksLikeContent(text: string): boolean {
  return !/^\.{0,2}\//.test(text);
}

/** Shows the path of a file with a secret, unless it may be the secret itself. */
function showPath(value: unknown): string {
  if (typeof value !== "string") return showValue(value);
  return looksLikeContent(value) ? "[redacted]" : quotePath(value);
}
