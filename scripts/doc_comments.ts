/**
 * A plugin of `deno lint`: every export of `src/` has a doc comment.
 *
 * `deno doc --lint` also requires one on every field and treats npm types in signatures as private, so it could never
 * pass here.
 */

/** Whether the text before a declaration ends with a doc comment. */
function hasDocComment(textBefore: string): boolean {
  const text = textBefore.trimEnd();
  const start = text.lastIndexOf("/*");
  return text.endsWith("*/") && text.startsWith("/**", start);
}

/** The only comment allowed between a doc comment and its declaration. */
const LINT_DIRECTIVE = /\/\/ deno-lint-ignore[^\n]*\s*$/;

const exported: Deno.lint.Rule = {
  create(context) {
    if (!/(?:^|\/)src\//.test(context.filename.replaceAll("\\", "/"))) return {};
    const text = context.sourceCode.text;
    let previousOverload: string | undefined;
    return {
      ExportNamedDeclaration(node) {
        if (node.declaration === null) return;
        const name = (node.declaration as { id?: { name?: string } | null }).id?.name;
        const isOverload = name !== undefined && name === previousOverload;
        previousOverload = node.declaration.type === "TSDeclareFunction" ? name : undefined;
        if (isOverload || hasDocComment(text.slice(0, node.range[0]).replace(LINT_DIRECTIVE, ""))) return;
        context.report({ node, message: `exported ${name ?? "symbol"} has no doc comment` });
      },
    };
  },
};

const plugin: Deno.lint.Plugin = { name: "docs", rules: { exported } };
export default plugin;
