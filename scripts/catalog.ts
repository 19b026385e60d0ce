/** Makes the catalog of the command line (`src/cli/catalog.json`) from the registry of operations. */
import type { SchemaObject } from "../src/operations/input.ts";
import { createRoutes, type Route } from "../src/api/routes.ts";
import type { Member, MemberKind, Offer } from "../src/cli/catalog.ts";
import { OPERATIONS } from "../src/operations/registry.ts";

/** Describes every operation that is offered over HTTP, in the registry's order. */
export function createCatalog(): readonly Offer[] {
  const routes = createRoutes(OPERATIONS);
  return OPERATIONS.flatMap((operation) => {
    const route = routes.find((one) => one.operation.name === operation.name);
    return route ? [describeRoute(route)] : [];
  });
}

function describeRoute({ operation, http, path, members }: Route): Offer {
  const input = JSON.parse(JSON.stringify(operation.input)) as SchemaObject;
  const properties = (input.properties ?? {}) as Readonly<Record<string, SchemaObject>>;
  const required = (input.required ?? []) as readonly string[];
  const partOf = (name: string): Member["in"] =>
    name === http.upload
      ? "upload"
      : (["path", "query", "body"] as const).find((part) => members[part].includes(name))!;
  return {
    ...{ name: operation.name, summary: operation.summary, role: operation.role, method: http.method, path },
    ...(operation.stream ? { stream: true as const } : {}),
    ...(http.status === 201 ? { plans: true as const } : {}),
    members: Object.fromEntries(
      Object.entries(properties).filter(([name]) => name !== http.ifMatch).map(([name, schema]) => [name, {
        in: partOf(name),
        ...describeMember(schema),
        ...((required.includes(name) && !("default" in schema)) || members.path.includes(name)
          ? { required: true as const }
          : {}),
      }]),
    ),
  };
}

function describeMember(schema: SchemaObject): Omit<Member, "in" | "required"> {
  const { type, items, description, properties } = schema as {
    type?: string;
    items?: SchemaObject;
    description?: string;
    properties?: Record<string, unknown>;
  };
  const choices = choicesOf(schema), told = description === undefined ? {} : { description };
  if (type === "array") return { ...describeMember(items ?? {}), ...told, list: true };
  return {
    kind: kindOf(type, choices),
    ...(choices ? { choices } : {}),
    ...told,
    ...(properties ? { members: Object.keys(properties) } : {}),
  };
}

function kindOf(type: unknown, choices: unknown): MemberKind {
  const kinds: Readonly<Record<string, MemberKind>> = { integer: "integer", number: "number", boolean: "flag" };
  if (choices !== undefined || type === "string") return "text";
  return kinds[[type].flat().find((one) => one !== "null") as string] ?? "object";
}

function choicesOf({ enum: values, anyOf }: SchemaObject): readonly string[] | undefined {
  const found = values ?? (anyOf as readonly SchemaObject[] | undefined)?.map((one) => one.const);
  return Array.isArray(found) && found.length > 0 && found.every((one) => typeof one === "string") ? found : undefined;
}
