/**
 * The tables of the notify file's members. The parser, `docs/notify.schema.json` and the tables in `docs/configuration.md` are generated
 * from them. Pure.
 */
import Type from "typebox";
import {
  describe,
  field,
  type FileFields,
  httpUrl,
  listOf,
  matching,
  nested,
  objectSchema,
  oneOf,
  type Spec,
  whole,
} from "./file_fields.ts";
import {
  DEFAULT_RULES,
  DEFAULT_UPDATE_SECONDS,
  INCIDENT_KINDS,
  type IncidentKind,
  MAIL_TLS,
  RECEIVER_TYPES,
  type ReceiverType,
  SEVERITIES,
} from "./notify.ts";
import { SOURCE_NAME_PATTERN } from "./sources_file.ts";
import { SPAN_END_WANTS, TIME_ZONE_WANTS } from "./span.ts";

/** Most receivers of a file: each has a state and metrics of its own. */
export const MAX_RECEIVERS = 20;
/** Most routes of a file. */
export const MAX_ROUTES = 100;
/** Longest template, in characters. */
const MAX_TEMPLATE = 4_000;
/** A day, in seconds. */
const DAY = 86_400;

/** A character of a text on one line. */
const LINE_CHARACTER = "[^\\p{Cc}\\p{Cs}\\p{Zl}\\p{Zp}]";
const NAME = Type.String({ pattern: SOURCE_NAME_PATTERN });
const NAME_WANTS = 'a name: a to z, then up to 31 of a to z, 0 to 9, "_" and "-"';

const seconds = (spec: Spec, { min = 1, max = 30 * DAY } = {}) => whole(spec, { min, max, unit: "seconds" });

const filePath = (spec: Spec) =>
  matching(spec, { wants: "the path of a file", pattern: `^${LINE_CHARACTER}{1,4096}$` });

const names = (spec: Spec, { least, most, wants }: { least: number; most: number; wants: string }) =>
  listOf(spec, { item: NAME, itemWants: NAME_WANTS, wants, least, most });

const kinds = (spec: Spec) =>
  listOf(spec, {
    item: Type.Enum([...INCIDENT_KINDS]),
    itemWants: `one of ${INCIDENT_KINDS.join(", ")}`,
    wants: "kinds of incidents",
    least: 1,
    most: INCIDENT_KINDS.length,
  });

const template = (spec: Spec) =>
  field(spec, {
    wants: `Mustache text of 1 to ${MAX_TEMPLATE} characters`,
    schema: Type.String({ ...describe(spec), pattern: `^(?:[^\\p{Cc}\\p{Cs}]|[\\n\\r\\t]){1,${MAX_TEMPLATE}}$` }),
  });

/** An address that no mail server could misread. */
const ADDRESS = '[^\\s\\p{Cc}\\p{Cs}<>()\\[\\]\\\\,;:@"]{1,64}@[^\\s\\p{Cc}\\p{Cs}<>()\\\\,;:@"]{1,255}';
const ADDRESS_WANTS = "a mail address such as ops@example.org";

const SPAN_END = { pattern: "^[^\\p{Cc}\\p{Cs}]{1,200}$", wants: SPAN_END_WANTS };

/** Held spans of a receiver. */
export const QUIET_HOURS_FIELDS = {
  from: matching({ doc: "Start: a cron expression of five fields, or a local time.", initialText: null }, SPAN_END),
  to: matching({ doc: "End, in the same form.", initialText: null }, SPAN_END),
  timeZone: matching({ doc: "Time zone of both.", initialText: "UTC" }, {
    pattern: "^[A-Za-z0-9_+/-]{1,64}$",
    wants: TIME_ZONE_WANTS,
  }),
  except: oneOf({
    doc: "Least severity that is sent at once all the same. `none`: everything is held.",
    initialText: "critical",
  }, [...SEVERITIES, "none"]),
} satisfies FileFields;

/** Templates of a receiver. */
export const TEMPLATE_FIELDS = {
  title: template({ doc: "Replaces the title: one line, cut at 120 characters.", initialText: "the built-in title" }),
  text: template({ doc: "Replaces the text, cut at 4,000 characters.", initialText: "the built-in text" }),
} satisfies FileFields;

/** What every receiver may have. */
export const RECEIVER_FIELDS = {
  type: oneOf({ doc: "Decides which further members there are.", initialText: null }, RECEIVER_TYPES),
  updateSeconds: seconds({
    doc: "Least time between two updates of one incident to this receiver.",
    initialText: "the file's",
  }, { min: 60, max: DAY }),
  quietHours: nested({ doc: "Spans in which notices are held; their state is sent at the end.", initialText: "none" }, {
    wants: "a list of at most 20 objects with from and to",
    schema: Type.Array(Type.Ref("#/$defs/quietHours"), { maxItems: 20 }),
  }),
  template: nested({ doc: "Own words: Mustache templates.", initialText: "the built-in words" }, {
    wants: "an object with title, text, or both",
    schema: Type.Ref("#/$defs/template"),
  }),
  caFile: filePath({
    doc: "File with PEM certificates of authorities to trust in addition to the system's.",
    initialText: "none",
  }),
} satisfies FileFields;

const URL_FILE = filePath({ doc: "File with the webhook's URL, which is a secret.", initialText: null });
const LOGIN = {
  username: matching({ doc: "User of the login. Needs `passwordFile`.", initialText: "no login" }, {
    wants: "a user's name of at most 256 characters",
    pattern: `^${LINE_CHARACTER}{1,256}$`,
  }),
  passwordFile: filePath({ doc: "File with the user's password.", initialText: "no login" }),
};

/** Valid labels; completes "is not". */
export const LABELS_WANTS = "an object of at most 20 labels with texts";

/** What each type of receiver has in addition. */
export const TYPE_FIELDS = {
  slack: { urlFile: URL_FILE },
  email: {
    host: matching({ doc: "The mail server.", initialText: null }, {
      pattern: "^([\\w.-]{1,253}|[0-9a-fA-F:.]{2,45})$",
      wants: "a host name or IP address",
    }),
    port: whole({ doc: "Its port.", initialText: "587; implicit: 465; none: 25" }, {
      min: 1,
      max: 65_535,
    }),
    tls: oneOf({
      doc:
        "`starttls`: the connection is encrypted before anything is said, or nothing is sent. `implicit`: TLS from " +
        "the first byte. `none`: in clear.",
      initialText: "starttls",
    }, MAIL_TLS),
    from: matching({ doc: "The sender.", initialText: null }, {
      pattern: `^(?:[^\\p{Cc}\\p{Cs}\\p{Zl}\\p{Zp}<>"@,;]{1,100} <${ADDRESS}>|${ADDRESS})$`,
      wants: `${ADDRESS_WANTS}, or Name <address>`,
    }),
    to: listOf({ doc: "Those who get the mail.", initialText: null }, {
      item: Type.String({ pattern: `^${ADDRESS}$` }),
      itemWants: ADDRESS_WANTS,
      wants: "mail addresses",
      least: 1,
      most: 50,
    }),
    ...LOGIN,
  },
  teams: { urlFile: URL_FILE },
  pagerduty: {
    routingKeyFile: filePath({ doc: "File with the integration key of a service (Events API v2).", initialText: null }),
    url: httpUrl({
      doc: "Base of the API. In the EU: `https://events.eu.pagerduty.com`.",
      initialText: "`https://events.pagerduty.com`",
    }),
  },
  webhook: {
    url: httpUrl({ doc: "The address to post to. Either this or `urlFile`.", initialText: "`urlFile`" }),
    urlFile: filePath({ doc: "File with the address, if that is a secret.", initialText: "`url`" }),
    secretFile: filePath({ doc: "File with the signing secret, `whsec_…`.", initialText: null }),
  },
  alertmanager: {
    url: httpUrl({ doc: "Base of its addresses, such as `http://alertmanager:9093`.", initialText: null }),
    ...LOGIN,
    labels: nested({ doc: "Labels that each alert gets in addition.", initialText: "none" }, {
      wants: LABELS_WANTS,
      schema: Type.Record(Type.String({ pattern: "^[a-zA-Z_][a-zA-Z0-9_]{0,63}$" }), Type.String({ maxLength: 200 }), {
        maxProperties: 20,
        additionalProperties: false,
        propertyNames: { not: { enum: ["alertname", "cause", "severity", "source"] } },
      }),
    }),
  },
} satisfies Readonly<Record<ReceiverType, FileFields>>;

/** Labels that the service sets. */
export const OWN_LABELS: readonly string[] = ["alertname", "cause", "severity", "source"];

/** Routes from incidents to receivers. */
export const ROUTE_FIELDS = {
  sources: names({ doc: "Only incidents that concern one of these sources.", initialText: "all" }, {
    wants: "source names",
    least: 1,
    most: 100,
  }),
  kinds: kinds({ doc: "Only these kinds of incidents.", initialText: "all but `job_finished`" }),
  severity: oneOf({ doc: "Least severity.", initialText: "info" }, SEVERITIES),
  receivers: names({ doc: "Names of receivers.", initialText: null }, {
    wants: "names of receivers",
    least: 1,
    most: MAX_RECEIVERS,
  }),
} satisfies FileFields;

const AFTER = (doc: string, kind: "gate_closed" | "stalled" | "no_leader") =>
  seconds({ doc, initialText: String(initialOf(kind, "afterSeconds")) });

/** Limits of each kind of incident. */
export const INCIDENT_FIELDS = {
  dead: {
    count: whole({ doc: "Dead messages of one reason.", initialText: String(initialOf("dead", "count")) }, {
      ...{ min: 1, max: 1_000_000, unit: "messages" },
    }),
    withinSeconds: seconds({ doc: "Within this time.", initialText: String(initialOf("dead", "withinSeconds")) }, {
      max: DAY,
    }),
    quietSeconds: seconds({
      doc: "It ends after this time without another.",
      initialText: String(initialOf("dead", "quietSeconds")),
    }, { max: DAY }),
  },
  gate_closed: {
    afterSeconds: AFTER("Closed for this long.", "gate_closed"),
    except: listOf({ doc: "Gates to ignore.", initialText: "`enabled`, `pause`, `window`, `job`" }, {
      item: Type.String({ pattern: "^[a-z_]{1,32}$" }),
      itemWants: "the name of a gate",
      wants: "names of gates",
      most: 50,
    }),
  },
  depth: {
    above: whole({ doc: "More messages in a DLQ than this.", initialText: String(initialOf("depth", "above")) }, {
      ...{ min: 1, max: 1_000_000_000, unit: "messages" },
    }),
  },
  age: {
    aboveSeconds: seconds({
      doc: "The oldest message of a DLQ is older than this.",
      initialText: String(initialOf("age", "aboveSeconds")),
    }, { max: 365 * DAY }),
  },
  stalled: { afterSeconds: AFTER("Nothing has moved for this long.", "stalled") },
  job_failed: {},
  job_finished: {},
  config_rejected: {},
  no_leader: { afterSeconds: AFTER("No instance has led a source for this long.", "no_leader") },
} satisfies Readonly<Record<IncidentKind, FileFields>>;

function initialOf(kind: IncidentKind, member: string): unknown {
  return (DEFAULT_RULES[kind] as Readonly<Record<string, unknown>>)[member];
}

const offOr = (fields: FileFields) => Type.Union([Type.Literal("off"), objectSchema(fields)]);

/** A valid value of a kind of incident; completes "is not". */
export const KIND_WANTS = "off, or an object";

/** The file itself. */
export const NOTIFY_FIELDS = {
  consoleUrl: httpUrl({ doc: "Base of the links to the console.", initialText: "no links" }),
  updateSeconds: seconds({
    doc: "Least time between two updates of one incident to one receiver.",
    initialText: String(DEFAULT_UPDATE_SECONDS),
  }, { min: 60, max: DAY }),
  receivers: nested({ doc: "Who is notified, by name.", initialText: null }, {
    wants: "an object with a member for each receiver",
    schema: Type.Object({}, {
      maxProperties: MAX_RECEIVERS,
      propertyNames: { pattern: SOURCE_NAME_PATTERN },
      additionalProperties: { anyOf: RECEIVER_TYPES.map((type) => ({ $ref: `#/$defs/${type}` })) },
    }),
  }),
  routes: nested({
    doc: "Who is notified what. Every route that fits is used.",
    initialText: "all receivers get everything but `job_finished`",
  }, {
    wants: `a list of at most ${MAX_ROUTES} objects with receivers`,
    schema: Type.Array(Type.Ref("#/$defs/route"), { maxItems: MAX_ROUTES }),
  }),
  incidents: nested({ doc: "When each kind of incident begins and ends; `off`: never.", initialText: "see below" }, {
    wants: "an object with members for kinds of incidents",
    schema: Type.Ref("#/$defs/incidents"),
  }),
} satisfies FileFields;

/** Rules for members of a type: both or neither, or exactly one of two. */
const TOGETHER: Readonly<Partial<Record<ReceiverType, Readonly<Record<string, unknown>>>>> = {
  email: { dependentRequired: { username: ["passwordFile"], passwordFile: ["username"] } },
  alertmanager: { dependentRequired: { username: ["passwordFile"], passwordFile: ["username"] } },
  webhook: { oneOf: [{ required: ["url"] }, { required: ["urlFile"] }] },
};

/** All members of a receiver of this type. */
export function fieldsOfType(type: ReceiverType): FileFields {
  return { ...RECEIVER_FIELDS, ...TYPE_FIELDS[type] };
}

function receiverSchema(type: ReceiverType) {
  const fields = {
    ...fieldsOfType(type),
    type: field(RECEIVER_FIELDS.type, { wants: type, schema: Type.Literal(type) }),
  };
  return objectSchema(fields, TOGETHER[type]);
}

/** The file's schema as JSON Schema (2020-12). It cannot express what compares members, names and files. */
export const NOTIFY_SCHEMA = objectSchema(
  { $schema: field({ doc: "", initialText: "" }, { wants: "a string", schema: Type.String() }), ...NOTIFY_FIELDS },
  {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Notifications of mutt-remediation (REMEDIATION_NOTIFY_PATH)",
    $defs: {
      ...Object.fromEntries(RECEIVER_TYPES.map((type) => [type, receiverSchema(type)])),
      quietHours: objectSchema(QUIET_HOURS_FIELDS),
      template: objectSchema(TEMPLATE_FIELDS, { minProperties: 1 }),
      route: objectSchema(ROUTE_FIELDS),
      incidents: Type.Object(
        Object.fromEntries(INCIDENT_KINDS.map((kind) => [kind, Type.Optional(offOr(INCIDENT_FIELDS[kind]))])),
        { additionalProperties: false },
      ),
    },
  },
);
