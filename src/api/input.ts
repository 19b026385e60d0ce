/** The input of an operation from the parts of a request: path, query and body. Pure. */
import { checkInput, fits, MAX_PROBLEMS, type SchemaObject } from "../operations/input.ts";
import { describeProblem, OperationError } from "../operations/operation.ts";
import { type FieldProblem, Problem } from "./problem.ts";

/** Part of a request that an input member comes from. */
export type Part = "path" | "query" | "body";

/** The parts of a request. Values of path and query are texts, or lists of texts for a repeated name. */
export type Parts = Readonly<Record<Part, Readonly<Record<string, unknown>>>>;

/** Most names in a query or form. No operation has nearly as many members; to refuse 100,000 one by one takes seconds. */
const MOST_NAMES = 100;

/** The texts of a query or form by name; of a name that is repeated, all. @throws {Problem} if there are too many names */
export function groupTexts(params: URLSearchParams): Record<string, string | readonly string[]> {
  const texts = new Map<string, string[]>();
  for (const [name, text] of params) {
    const known = texts.get(name);
    if (known) known.push(text);
    else texts.set(name, [text]);
    if (texts.size > MOST_NAMES) throw new Problem("invalid", `There are more than ${MOST_NAMES} names of members`);
  }
  return Object.fromEntries([...texts].map(([name, all]) => [name, all.length === 1 ? all[0]! : all]));
}

/**
 * Puts the input together: texts become what the schema says, defaults are filled in. @throws {Problem} with every member
 * that is unknown, missing or not valid
 */
export function readInput(schema: SchemaObject, parts: Parts): Record<string, unknown> {
  const texts = convert(schema, { ...parts.query, ...parts.path });
  const placeOf = (name: string): Part =>
    Object.hasOwn(parts.path, name) ? "path" : Object.hasOwn(parts.query, name) ? "query" : "body";
  const twice = Object.keys(parts.body).filter((name) => Object.hasOwn(texts, name)).map((name): FieldProblem => ({
    ...{ field: name, in: "body", value: null, wanted: `in the body: it is in the ${placeOf(name)}` },
  }));
  const isQuery = Object.keys(parts.body).length === 0 && Object.keys(parts.query).length > 0;
  let problems: readonly FieldProblem[] = twice;
  try {
    const input = checkInput(schema, { ...parts.body, ...texts });
    if (twice.length === 0) return input;
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    const found = error.problems.map((problem): FieldProblem => {
      const name = problem.field.split(/[.[]/)[0]!;
      const isKnown = [parts.path, parts.query, parts.body].some((part) => Object.hasOwn(part, name));
      return { ...problem, in: isKnown ? placeOf(name) : isQuery ? "query" : "body" };
    });
    problems = [...twice, ...found].slice(0, MAX_PROBLEMS);
  }
  throw new Problem("invalid", problems.map(describeProblem).join("; "), { problems });
}

function convert(schema: SchemaObject, texts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, SchemaObject>>;
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, convertText(properties[name] ?? {}, text)]),
  );
}

/**
 * What a text of path or query stands for. What does not look like it stays as it is and is refused by the schema:
 * TypeBox's own conversion takes any text for a boolean.
 */
function convertText(schema: SchemaObject, text: unknown): unknown {
  const kinds = [schema.type].flat();
  if (kinds.includes("array")) {
    return [text].flat().map((one) => convertText((schema.items ?? {}) as SchemaObject, one));
  }
  if (typeof text !== "string" || kinds.includes("string")) return text;
  const branches = (schema.anyOf ?? []) as readonly SchemaObject[];
  const fitting = branches.find((branch) => fits(branch, convertText(branch, text)));
  if (fitting) return convertText(fitting, text);
  if (kinds.includes("boolean") && /^(true|false)$/.test(text)) return text === "true";
  const isNumeric = kinds.includes("integer") || kinds.includes("number");
  return isNumeric && /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
}
