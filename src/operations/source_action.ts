/** What the operations on one running source share: they check their input, find the source, act, and leave a trace. */
import Type, { type Static, type TSchema } from "typebox";
import Value from "typebox/value";
import { quote } from "../config/redact.ts";
import { MAX_OPERATOR_NAME, MAX_REASON, toLine } from "../cycle/pause.ts";
import { explainRedisError } from "../redis/advice.ts";
import { StoreError } from "../redis/errors.ts";
import { operationEntry } from "./audit.ts";
import type { OperatorContext, RunningSource, ServiceContext } from "./context.ts";

/** The description of each member says what is wanted; {@link findProblems} uses it. */
export const SOURCE = Type.String({ minLength: 1, maxLength: 64, description: "the name of a source" });
/** An operator's reason. */
export const REASON = Type.String({
  // No control, invisible or half characters, and not only blanks.
  pattern: `^(?=.*\\S)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]{1,${MAX_REASON}}$`,
  description: `one line of 1 to ${MAX_REASON} characters, not all blank, without control characters`,
});

/** Why an operation did nothing. */
export const REFUSAL = Type.Object({
  ok: Type.Literal(false),
  code: Type.Union([Type.Literal("invalid"), Type.Literal("unknown_source"), Type.Literal("redis")]),
  /** All problems at once. */
  problems: Type.Array(Type.String()),
}, { additionalProperties: false });
/** Why an operation did nothing. */
export type Refusal = Static<typeof REFUSAL>;

/** What an operation on a source did. */
export const DONE = Type.Object({
  ok: Type.Literal(true),
  source: Type.String(),
  /** One sentence. */
  result: Type.String(),
}, { additionalProperties: false });

/** The output of an operation on a source. */
export const OUTCOME = Type.Union([DONE, REFUSAL]);
/** The output of an operation on a source. */
export type Outcome = Static<typeof OUTCOME>;

/** Returns a problem for each member of an input that is unknown, missing or wrong. */
export function findProblems(
  { properties, required = [] }: {
    readonly properties: Readonly<Record<string, TSchema>>;
    readonly required?: readonly string[] | undefined;
  },
  input: Readonly<Record<string, unknown>>,
): string[] {
  const unknown = Object.keys(input).filter((name) => !Object.hasOwn(properties, name))
    .map((name) => `${quote(name)} is not a member: use ${Object.keys(properties).join(", ")}`);
  const wrong = Object.entries(properties).flatMap(([name, schema]) => {
    const wanted = (schema as { description?: string }).description ?? "another value";
    if (!Object.hasOwn(input, name) || input[name] === undefined) {
      return required.includes(name) ? [`${name} is missing: give ${wanted}`] : [];
    }
    const value = input[name],
      shown = typeof value === "string" ? quote(value) : typeof value === "object" ? typeof value : String(value);
    return Value.Check(schema, value) ? [] : [`${name} ${shown} is not ${wanted}`];
  });
  return [...unknown, ...wrong];
}

/** Finds a running source by its name. */
export function findSource(
  { sources }: Pick<ServiceContext, "sources">,
  name: string,
): { readonly source: RunningSource } | Refusal {
  const running = sources(), source = running.find(({ parts }) => parts.setup.policy.name === name);
  if (source) return { source };
  const known = running.map(({ parts }) => parts.setup.policy.name).join(", ");
  return { ok: false, code: "unknown_source", problems: [`source ${quote(name)} is unknown; known: ${known}`] };
}

/**
 * Checks the input, acts on its source, logs and records what was done, and wakes the source's loop. `act` returns what it did in
 * one sentence. A failure of Redis is a refusal; any other error is a bug.
 */
export async function actOnSource<Input extends { readonly source: string; readonly reason?: string }>(
  context: OperatorContext,
  input: Input,
  { operation, schema, act }: {
    readonly operation: string;
    readonly schema: Parameters<typeof findProblems>[0];
    readonly act: (source: RunningSource, by: string) => Promise<string>;
  },
): Promise<Outcome> {
  const problems = findProblems(schema, input);
  if (problems.length > 0) return { ok: false, code: "invalid", problems };
  const found = findSource(context, input.source);
  if (!("source" in found)) return found;
  const { source } = found, by = toLine(context.actor.name, MAX_OPERATOR_NAME);
  let result: string;
  try {
    result = await act(source, by);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { ok: false, code: "redis", problems: [`Redis refused or did not answer: ${explainRedisError(error)}`] };
  }
  source.loop.wake();
  const { reason = "" } = input, why = reason === "" ? "" : ` (${reason})`;
  context.log.info(operation, `Remediation: ${by}: ${input.source}: ${result}${why}`, {
    source: input.source,
    actor: by,
  });
  await context.journal.record(operationEntry(context.actor, {
    ...{ operation, source: input.source, correlationId: context.correlationId, result },
    input: reason === "" ? {} : { reason },
  }));
  return { ok: true, source: input.source, result };
}
