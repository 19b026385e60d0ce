/** Checks the Mustache templates of notices, and renders them. Pure. */
import Mustache from "mustache";
import { toLine } from "../runtime/control_characters.ts";

/** Names that a template may use anywhere. Closed set: docs/notifications.md explains each. */
export const TEMPLATE_NAMES = [
  ...["title", "text", "event", "kind", "cause", "severity", "detail", "sources", "count"],
  ...["began", "ended", "lasted", "url", "id"],
] as const;
/** Names that a template may use between `{{#groups}}` and `{{/groups}}` too. */
export const GROUP_NAMES = ["source", "messages", "sample", "message"] as const;

/** What a template is filled with. An empty text is false in a section. */
export type TemplateView =
  & Readonly<Record<(typeof TEMPLATE_NAMES)[number], string>>
  & { readonly groups: readonly Readonly<Record<(typeof GROUP_NAMES)[number], string>>[] };

/** A token of the parser: its type, its value, its start and end, and the tokens in a section. */
type Token = readonly [type: string, value: string, start: number, end: number, inside?: readonly Token[]];

/** Finds what is wrong with a template; empty if it can be used. Does not throw. */
export function findTemplateProblems(template: string): readonly string[] {
  let tokens: readonly Token[];
  try {
    tokens = Mustache.parse(template) as unknown as readonly Token[];
  } catch (error) {
    return [`cannot be parsed as Mustache: ${toLine(String((error as Error).message), 120)}`];
  }
  return [...new Set(problemsOf(tokens, TEMPLATE_NAMES))];
}

function problemsOf(tokens: readonly Token[], known: readonly string[]): string[] {
  return tokens.flatMap(([type, value, , , inside = []]): string[] => {
    const shown = toLine(value, 64);
    if (type === ">") return [`has a partial {{> ${shown}}}: partials are not allowed`];
    if (type === "=") return ["changes the delimiters, which is not allowed"];
    if (type === "#" && value === "groups" && known === TEMPLATE_NAMES) {
      return problemsOf(inside, [...TEMPLATE_NAMES, ...GROUP_NAMES]);
    }
    const isName = ["name", "&", "#", "^"].includes(type);
    const isKnown = known.includes(value) || (type === "^" && value === "groups" && known === TEMPLATE_NAMES);
    const unknown = isName && !isKnown
      ? [`uses {{${shown}}}, which is unknown here: use ${known.join(", ")}, or {{#groups}}`]
      : [];
    return [...unknown, ...problemsOf(inside, known)];
  });
}

/** Fills in a template that {@link findTemplateProblems} accepts. Nothing is escaped: each receiver does that in its own way. */
export function renderTemplate(template: string, view: TemplateView): string {
  return Mustache.render(template, view, {}, { escape: (value) => String(value) });
}
