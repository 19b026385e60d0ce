/** The description of the API (OpenAPI 3.1), made from the routes. Pure. */
import type { SchemaObject } from "../operations/input.ts";
import { KEY_PATTERN } from "./idempotency.ts";
import { PROBLEM_SCHEMA, PROBLEM_TYPE, type ProblemCode, PROBLEMS } from "./problem.ts";
import { API_ROOT, type Route } from "./routes.ts";

/** Media type of a stream of items, one a line. */
export const NDJSON_TYPE = "application/x-ndjson";

/** Correlation ids that are accepted. */
export const CORRELATION_PATTERN = /^[\w.:-]{1,128}$/;

/** Describes all routes. */
export function describeApi(routes: readonly Route[], { version }: { version: string }): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    (paths[route.path.slice(API_ROOT.length)] ??= {})[route.http.method.toLowerCase()] = describeRoute(route);
  }
  paths["/events"] = { get: EVENTS };
  return {
    openapi: "3.1.0",
    info: {
      title: "mutt-remediation",
      version,
      description: "Dead-letter queues of Redis lists: what is in them, why nothing moves, and what to do about it.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: API_ROOT }],
    security: [{ key: [] }, { bearer: [] }, { session: [] }],
    tags: ROLE_TAGS,
    paths,
    components: {
      schemas: { Problem: PROBLEM_SCHEMA },
      responses: Object.fromEntries(
        (Object.entries(PROBLEMS) as [ProblemCode, { title: string }][]).map(([code, { title }]) => [code, {
          description: title,
          content: { [PROBLEM_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
        }]),
      ),
      securitySchemes: {
        key: { type: "apiKey", in: "header", name: "X-API-KEY" },
        bearer: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: "__Host-session" },
      },
    },
  };
}

const ROLE_TAGS = [
  { name: "viewer", description: "Needs the role viewer, operator or admin." },
  { name: "operator", description: "Needs the role operator or admin." },
  { name: "admin", description: "Needs the role admin." },
];

const COMMON: readonly ProblemCode[] = ["invalid", "unauthenticated", "forbidden", "rate_limited", "unavailable"];
const OF_WRITES: readonly ProblemCode[] = ["conflict", "too_large", "media_type", "key_reused"];

function describeRoute({ operation, http, isWrite, members, input, output }: Route): Record<string, unknown> {
  const codes: ProblemCode[] = [
    ...COMMON,
    ...(members.path.length > 0 ? ["not_found" as const] : []),
    ...(isWrite ? OF_WRITES : []),
    ...(http.ifMatch ? ["stale" as const] : []),
    "internal",
  ];
  const type = operation.stream ? NDJSON_TYPE : "application/json";
  const success = {
    description: operation.stream ? "Items, one a line." : "Done.",
    content: { [type]: { schema: plain(output) } },
    ...(http.etag ? { headers: { ETag: { schema: { type: "string" } } } } : {}),
  };
  return {
    operationId: operation.name,
    summary: operation.summary,
    tags: [operation.role],
    parameters: [
      ...(["path", "query"] as const).flatMap((part) =>
        members[part].map((name) => describeMember(input, { part, name }))
      ),
      ...(isWrite && !http.upload && !operation.stream ? [IDEMPOTENCY_KEY] : []),
      ...(http.ifMatch ? [IF_MATCH] : []),
      CORRELATION_ID,
    ],
    ...describeBody({ http, members, input }),
    responses: {
      [http.status ?? 200]: success,
      ...refusals(codes),
    },
  };
}

function describeMember(input: SchemaObject, { part, name }: { part: "path" | "query"; name: string }): unknown {
  const schema = (input.properties as Record<string, SchemaObject>)[name]!, { description, ...rest } = plain(schema);
  const isRequired = part === "path" ||
    ((input.required ?? []) as readonly string[]).includes(name) && !("default" in rest);
  return { name, in: part, required: isRequired, ...(description ? { description } : {}), schema: rest };
}

function describeBody({ http, members, input }: Pick<Route, "http" | "members" | "input">): Record<string, unknown> {
  if (http.upload) {
    return { requestBody: { required: true, content: { [NDJSON_TYPE]: { schema: { type: "string" } } } } };
  }
  if (members.body.length === 0) return {};
  const properties = plain(input).properties as Record<string, SchemaObject>;
  const required = ((input.required ?? []) as readonly string[]).filter((name) =>
    members.body.includes(name) && !("default" in properties[name]!)
  );
  const schema = {
    type: "object",
    properties: Object.fromEntries(members.body.map((name) => [name, properties[name]])),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
  return { requestBody: { required: required.length > 0, content: { "application/json": { schema } } } };
}

/** A copy without what only TypeBox knows. */
function plain(schema: SchemaObject): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema));
}

function refusals(codes: readonly ProblemCode[]): Record<string, unknown> {
  return Object.fromEntries(codes.map((code) => [PROBLEMS[code].status, { $ref: `#/components/responses/${code}` }]));
}

function header(name: string, description: string, pattern?: RegExp): Record<string, unknown> {
  return { name, in: "header", description, schema: { type: "string", ...(pattern && { pattern: pattern.source }) } };
}

const IDEMPOTENCY_KEY = header(
  "Idempotency-Key",
  "A text of your choice. A repeated request with the same key returns the first answer, for 24 hours.",
  KEY_PATTERN,
);
const IF_MATCH = header("If-Match", "The ETag of what was seen. If it has changed, nothing is done (412).");
const CORRELATION_ID = header(
  "X-Correlation-ID",
  "Returned, logged and journalled. Default: a new one.",
  CORRELATION_PATTERN,
);

const EVENTS = {
  operationId: "events",
  summary: "Follow what changes, as server-sent events",
  tags: ["viewer"],
  parameters: [header("Last-Event-ID", "Continue after this event; if it is too old, everything is sent again.")],
  responses: {
    200: { description: "Events.", content: { "text/event-stream": { schema: { type: "string" } } } },
    ...refusals(["unauthenticated", "forbidden", "rate_limited", "unavailable"]),
  },
};
