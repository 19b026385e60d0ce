/** Operation `replicas`: the instances of the service, and which sources each of them leads. Changes nothing. */
import type { Replica } from "../replay/replicas.ts";
import { toIso } from "../runtime/clock.ts";
import type { ServiceContext } from "./context.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { FLAG, INSTANT_OR_NULL, listOf, objectOf, TEXT, TEXT_OR_NULL } from "./schema.ts";

/** An instance. Instants are ISO 8601; `null` if it is known by its leases only. */
export interface ShownReplica {
  /** The name that it holds leases by. */
  readonly name: string;
  readonly pod: string | null;
  readonly version: string | null;
  readonly startedAt: string | null;
  /** By the server's clock. */
  readonly lastSeenAt: string | null;
  /** Names of the sources of this service that it leads. */
  readonly leads: readonly string[];
  /** Whether it is the one that answers. */
  readonly isThis: boolean;
}

/** Output of the operation. */
export interface ReplicasReport {
  readonly replicas: readonly ShownReplica[];
  /** Sources without a known leader. */
  readonly unled: readonly string[];
}

const INSTANT: JsonSchema = { ...INSTANT_OR_NULL };

/** Lists the instances. */
export const replicas = {
  name: "replicas",
  summary: "Every instance of the service: version, start, last seen, and which sources it leads",
  runsIn: "service",
  role: "viewer",
  input: objectOf({}),
  output: objectOf({
    replicas: listOf(objectOf({
      ...{ name: TEXT, pod: TEXT_OR_NULL, version: TEXT_OR_NULL, startedAt: INSTANT, lastSeenAt: INSTANT },
      ...{ leads: listOf(TEXT), isThis: FLAG },
    })),
    unled: listOf(TEXT),
  }),
  http: { method: "GET", path: "/replicas" },
  async run({ replicas, sources }: Pick<ServiceContext, "replicas" | "sources">): Promise<ReplicasReport> {
    const known = await replicas.list(), leaders = readLeaders(sources());
    const listed = known.map((one) => show(one, leaders)), names = new Set(known.map(({ name }) => name));
    // Instances of an older version do not list themselves.
    const others = [...new Set(leaders.values())].filter((name) => name !== "" && !names.has(name));
    return {
      replicas: [...listed, ...others.map((name) => showHolder(name, leaders))],
      unled: [...leaders].filter(([, holder]) => holder === "").map(([source]) => source),
    };
  },
} satisfies Operation<ServiceContext, Record<never, never>, ReplicasReport>;

/** The holder of each source's lease as this instance knows it; empty: not known, or leader election is off. */
function readLeaders(sources: ReturnType<ServiceContext["sources"]>): ReadonlyMap<string, string> {
  return new Map(
    sources.map(({ parts: { setup, leadership } }) => [setup.policy.name, leadership.status().holder] as const),
  );
}

function leadsOf(name: string, leaders: ReadonlyMap<string, string>): string[] {
  return [...leaders].filter(([, holder]) => holder === name).map(([source]) => source);
}

function show(
  { name, pod, version, startedAt, seenMs, isThis }: Replica,
  leaders: ReadonlyMap<string, string>,
): ShownReplica {
  return { name, pod, version, startedAt, lastSeenAt: toIso(seenMs), leads: leadsOf(name, leaders), isThis };
}

function showHolder(name: string, leaders: ReadonlyMap<string, string>): ShownReplica {
  const unknown = { pod: null, version: null, startedAt: null, lastSeenAt: null };
  return { name, ...unknown, leads: leadsOf(name, leaders), isThis: false };
}
