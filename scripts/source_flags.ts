/** Makes the flags of `watch` (`src/cli/source_flags.json`) from the table of a source's members. */
import { flagOf } from "../src/config/flag_source.ts";
import { SOURCE_FIELDS, SOURCE_MEMBERS, type SourceMember } from "../src/config/source_fields.ts";
import type { SourceFlag } from "../src/cli/watch.ts";

/** What a flag's value stands for in the help, by the kind of the member. */
const VALUES: Readonly<Record<SourceFlag["kind"], string>> = { text: "name", number: "number", list: "a,b" };

/** The same where the kind says too little. */
const OTHER_VALUES: Readonly<Partial<Record<SourceMember, string>>> = { healthUrl: "url", push: "command" };

/** Describes a flag for every member but `windows`, which is a list of objects. */
export function createSourceFlags(): readonly SourceFlag[] {
  return SOURCE_MEMBERS.filter((member) => member !== "windows").map((member) => {
    const { schema, doc } = SOURCE_FIELDS[member], kind = kindOf(JSON.parse(JSON.stringify(schema)));
    const value = OTHER_VALUES[member] ?? VALUES[kind];
    return { member, kind, flag: `${flagOf(member)} <${value}>`, text: shorten(doc) };
  });
}

interface Schema {
  readonly type?: string;
  readonly anyOf?: readonly Schema[];
}

function kindOf({ type, anyOf = [] }: Schema): SourceFlag["kind"] {
  if (type === "array") return "list";
  return type === "integer" || anyOf.some((one) => one.type === "number") ? "number" : "text";
}

/** As the help words it: without what only a file can say, and without a full stop. */
function shorten(doc: string): string {
  const text = doc.replace(/ `(?:null|auto)`[^.]*\./g, "").replaceAll("`", "").replace(/\.$/, "");
  return text[0]!.toLowerCase() + text.slice(1);
}
