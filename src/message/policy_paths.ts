/** The members that a source's policy names, as parsed paths. Pure. */
import { isBelow, type MemberPath, memberPath, type MemberRef, memberRef, toRef } from "./member_path.ts";
import type { SourcePolicy } from "./source_policy.ts";

/** The members of a policy that are paths; absent: it names none. */
export type PathSettings = Partial<Pick<SourcePolicy, "beside" | "counter" | "cutOnReplay" | "required" | "unwrap">>;

/** The parsed paths. */
export interface PolicyPaths {
  readonly unwrap: MemberPath | null;
  readonly counter: MemberRef | null;
  /** From the inner message. Of the rest, nothing is replayed. */
  readonly cut: readonly MemberRef[];
  /** From the inner message: what may differ when it comes back. Those to cut, and the counter if it is in there. */
  readonly changing: readonly MemberRef[];
  /** The member that names a message; `null`: none does. */
  readonly id: MemberRef | null;
  /** With its text, for messages. */
  readonly required: readonly (readonly [text: string, ref: MemberRef])[];
}

const PARSED = new WeakMap<PathSettings, PolicyPaths>();

/** Returns the paths of a policy, which must not change. Parsed once. @throws {RangeError} if a text is not a path */
export function pathsOf(policy: PathSettings): PolicyPaths {
  let paths = PARSED.get(policy);
  if (!paths) PARSED.set(policy, paths = parse(policy));
  return paths;
}

function parse({ beside, counter = null, cutOnReplay = [], required = [], unwrap = null }: PathSettings): PolicyPaths {
  const wrapper = unwrap === null ? null : memberPath(unwrap), counters = counter === null ? [] : [memberRef(counter)];
  const inner = (refs: readonly MemberRef[]) => wrapper === null ? refs : fromInner(refs, wrapper);
  const cut = inner(cutOnReplay.map(memberRef));
  return {
    unwrap: wrapper,
    counter: counters[0] ?? null,
    cut,
    changing: [...cut, ...inner(counters)],
    id: beside?.idMember == null ? null : memberRef(beside.idMember),
    required: required.map((text) => [text, memberRef(text)]),
  };
}

/** The paths that lead into the inner message, from there. */
export function fromInner(refs: readonly MemberRef[], unwrap: MemberPath): readonly MemberRef[] {
  return refs.filter((ref) => isBelow(ref, unwrap)).map((ref) => toRef(ref.slice(unwrap.length) as MemberPath));
}
