/** Operation `verify`: checks that the journals are what was written (docs/journal.md). Changes nothing. */
import Type, { type Static } from "typebox";
import { BREAKS, parseHead } from "../journal/chain.ts";
import { JOURNALS } from "../journal/query.ts";
import type { ServiceContext } from "./context.ts";
import { findUnknown } from "./journal.ts";
import { invalidInput, type Operation } from "./operation.ts";

const ID = Type.Union([Type.String(), Type.Null()]);

const INPUT = Type.Object({
  journals: Type.Optional(Type.Array(Type.Enum([...JOURNALS]), { description: "Default: all.", uniqueItems: true })),
  source: Type.Optional(Type.String({ description: "Of the journals of moves, only that of this source." })),
  copies: Type.Optional(Type.Array(Type.String({ maxLength: 128 }), {
    maxItems: 100,
    description: "Heads that an earlier answer returned, each as `name=head`, e.g. `audit=12 9f…`.",
  })),
}, { additionalProperties: false });

const VERIFIED = Type.Object({
  name: Type.String({ description: "`audit`, `incidents`, `moves <source>`." }),
  intact: Type.Boolean(),
  entries: Type.Integer({ minimum: 0 }),
  trimmed: Type.Integer({ minimum: 0, description: "Older entries, removed because the journal was full." }),
  unwritten: Type.Integer({ minimum: 0, description: "Entries that Redis refused." }),
  head: ID,
  breaks: Type.Array(Type.Object({
    kind: Type.Enum(Object.keys(BREAKS) as (keyof typeof BREAKS)[]),
    after: ID,
    before: ID,
    text: Type.String({ description: "What it proves." }),
  }, { additionalProperties: false })),
}, { additionalProperties: false });

const OUTPUT = Type.Object({ intact: Type.Boolean(), journals: Type.Array(VERIFIED) }, { additionalProperties: false });

/** Input of `verify`. */
export type VerifyInput = Readonly<Static<typeof INPUT>>;
/** Output of `verify`. */
export type VerifyOutput = Static<typeof OUTPUT>;

/** Walks the chains of the journals. */
export const verify = {
  name: "verify",
  summary: "Check that no entry of the journals was changed or removed",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/journal/verify" },
  run: verifyJournals,
} satisfies Operation<Pick<ServiceContext, "journal" | "sources">, VerifyInput, VerifyOutput>;

async function verifyJournals(
  { journal, sources }: Pick<ServiceContext, "journal" | "sources">,
  { copies = [], ...which }: VerifyInput,
): Promise<VerifyOutput> {
  const names = sources().map(({ parts }) => parts.setup.policy.name);
  const journals = ["audit", "incidents", ...names.map((name) => `moves ${name}`)];
  const heads = copies.map((text) => {
    const [name = "", head = ""] = text.split("=");
    return { text, name, head: parseHead(head) };
  });
  const problems = [
    ...findUnknown(which.source, names),
    ...heads.filter(({ name, head }) => head === null || !journals.includes(name)).map(({ text }) => ({
      ...{ field: "copies", value: text },
      wanted: `name=head, as verify returns them: one of ${journals.join(", ")}, then a number and a hash`,
    })),
  ];
  if (problems.length > 0) throw invalidInput(problems);
  const verified = await journal.verify({
    ...which,
    copies: Object.fromEntries(heads.map(({ name, head }) => [name, head!])),
  });
  return {
    intact: verified.every(({ isIntact }) => isIntact),
    journals: verified.map(({ name, isIntact, entries, trimmed, unwritten, head, breaks }) => ({
      ...{ name, intact: isIntact, entries, trimmed, unwritten, head },
      breaks: breaks.map((one) => ({ ...one, text: BREAKS[one.kind] })),
    })),
  };
}
