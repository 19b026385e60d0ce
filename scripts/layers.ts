/**
 * A plugin of `deno lint`: checks imports between the rooms of `src/`, and globals that only `src/runtime` may use.
 *
 * Dependency-cruiser would be another dependency and checks only imports. The rest (clock, timers, randomness, `Deno`)
 * needs a syntax tree, which Deno's linter provides.
 */

/** Rooms of `src/`, from low to high. A room may use those before it (docs/architecture.md). */
export const ROOMS: readonly string[] = [
  ...[
    "runtime",
    "message",
    "cycle",
    "observability",
    "config",
    "lifecycle",
    "http",
    "redis",
    "gates",
    "mutt",
    "replay",
    "slo",
    "history",
  ],
  ...["journal", "notify", "jobs", "drill", "operations", "api", "console", "app", "cli", "main"],
];

/** Pure rooms: they import only each other. */
const PURE: readonly string[] = ["message", "cycle"];
/** Modules that pure rooms may import: bytes, and the digests that name messages. */
const PURE_MODULES: readonly string[] = ["node:buffer", "node:crypto"];

/** Imports that point down but are forbidden. */
const NEVER: Readonly<Record<string, readonly string[]>> = {
  cli: ["redis", "gates", "replay"],
  api: ["redis", "gates", "replay"],
  console: ["redis", "gates", "replay"],
  operations: ["http"],
  replay: ["mutt"],
  notify: ["redis", "gates", "mutt", "replay"],
};

/** Files that may be imported against the order. */
const EXTRA_ARROWS: readonly (readonly [from: string, to: RegExp])[] = [
  ["app", /^\.\.\/deno\.json$/],
];

/** Node modules that would bypass the room runtime. */
const RUNTIME_MODULES = /^node:(process|fs|timers|os|perf_hooks|child_process|worker_threads|vm)(\/|$)/;

/** Globals that only the room runtime may use; `true`: every member. */
const RUNTIME_GLOBALS: Readonly<Record<string, true | readonly string[]>> = {
  Deno: true,
  setTimeout: true,
  setInterval: true,
  setImmediate: true,
  process: true,
  Date: ["now"],
  performance: ["now", "timeOrigin"],
  Math: ["random"],
  crypto: ["randomUUID", "getRandomValues"],
  AbortSignal: ["timeout"],
};

/** Exceptions for other rooms. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  http: ["Deno.listen", "Deno.connect", "Deno.serve"],
  cli: ["AbortSignal.timeout"], // a short-lived command with one request
  main: [
    "Deno.addSignalListener",
    "Deno.removeSignalListener",
    "Deno.exit",
    "Deno.args",
    "node:process",
    "process.on",
  ],
};

/** What runs in the browser. */
const IN_BROWSER = "console/assets/";

/** The path relative to `src/`, or `undefined` for a file that is outside or runs in the browser. */
function pathInSrc(filename: string): string | undefined {
  const path = /(?:^|\/)src\/(.+)$/.exec(filename.replaceAll("\\", "/"))?.[1];
  return path?.startsWith(IN_BROWSER) ? undefined : path;
}

/** The room of a path below `src/`. */
export function roomOf(path: string): string {
  return path === "main.ts" ? "main" : path.split("/")[0] as string;
}

/** Why a file may not import this, or `undefined` if it may. `path` is relative to `src/`. */
export function judgeImport(path: string, specifier: string): string | undefined {
  const from = roomOf(path);
  if (/^(jsr|https?|npm|data|file):/.test(specifier)) return `"${specifier}" must be named in deno.json, from npm`;
  if (specifier.startsWith(".")) return judgeArrow({ from, to: resolve(path, specifier) });
  if (PURE.includes(from) && !PURE_MODULES.includes(specifier)) {
    return `${from} is pure, it must not import "${specifier}"`;
  }
  if (from === "runtime" || !RUNTIME_MODULES.test(specifier) || ELSEWHERE[from]?.includes(specifier)) return undefined;
  return `only src/runtime may import "${specifier}"`;
}

function judgeArrow({ from, to }: { from: string; to: string }): string | undefined {
  if (EXTRA_ARROWS.some(([source, target]) => source === from && target.test(to))) return undefined;
  const target = roomOf(to);
  if (target === from) return undefined;
  for (const room of [target, from]) {
    if (!ROOMS.includes(room)) return `"${room}" is not a room: add it to scripts/layers.ts`;
  }
  const isPure = PURE.includes(from);
  if (isPure && !PURE.includes(target)) return `${from} must not import ${to}: it is pure`;
  if (!isPure && ROOMS.indexOf(target) > ROOMS.indexOf(from)) {
    return `${from} must not import ${to}: ${target} is not below it`;
  }
  return NEVER[from]?.includes(target) ? `${from} must not import ${to}` : undefined;
}

/** Path of a relative import, relative to `src/`; starts with `../` if it is outside. */
function resolve(path: string, specifier: string): string {
  const parts = path.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/**
 * Why a file may not use this global, or `undefined` if it may. `member` is `undefined` unless it is a plain member
 * access.
 */
export function judgeGlobal(
  path: string,
  { name, member }: { name: string; member: string | undefined },
): string | undefined {
  const room = roomOf(path);
  const banned = Object.hasOwn(RUNTIME_GLOBALS, name) ? RUNTIME_GLOBALS[name] : undefined;
  if (room === "runtime" || banned === undefined) return undefined;
  if (banned !== true && (member === undefined || !banned.includes(member))) return undefined;
  const use = member === undefined ? name : `${name}.${member}`;
  return ELSEWHERE[room]?.includes(use) ? undefined : `only src/runtime may use ${use}`;
}

type Named = { readonly type: string; readonly name?: string; readonly value?: unknown };

const nameOf = (node: Named): string | undefined =>
  node.type === "Identifier" ? node.name : node.type === "Literal" ? String(node.value) : undefined;

/** Whether an identifier is used as a value, not as a type, a key or a declared name. */
function isGlobalUse(node: Deno.lint.Identifier): boolean {
  const parent = node.parent as { type: string; value?: unknown };
  if (parent.type === "MemberExpression") return false; // checked as a whole
  if (/^(Property|PropertyDefinition|MethodDefinition)$/.test(parent.type)) return parent.value === node;
  return !/^(Import|TS)/.test(parent.type);
}

const arrows: Deno.lint.Rule = {
  create(context) {
    const path = pathInSrc(context.filename);
    if (path === undefined) return {};
    const check = (node: Deno.lint.Node, source: Named | null) => {
      if (source === null) return;
      const problem = source.type === "Literal"
        ? judgeImport(path, String(source.value))
        : "an import must name a file";
      if (problem) context.report({ node, message: problem });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source),
      ImportExpression: (node) => check(node, node.source as Named),
      ExportNamedDeclaration: (node) => check(node, node.source),
      ExportAllDeclaration: (node) => check(node, node.source),
    };
  },
};

const rooms: Deno.lint.Rule = {
  create(context) {
    const path = pathInSrc(context.filename);
    if (path === undefined) return {};
    const check = (node: Deno.lint.Node, use: { name: string; member: string | undefined }) => {
      const problem = judgeGlobal(path, use);
      if (problem) context.report({ node, message: problem });
    };
    return {
      MemberExpression(node) {
        const object = node.object as Named, member = nameOf(node.property as Named);
        if (object.type !== "Identifier" || !object.name) return;
        if (object.name !== "globalThis") check(node, { name: object.name, member });
        else if (member) check(node, { name: member, member: undefined });
      },
      Identifier(node) {
        if (isGlobalUse(node)) check(node, { name: node.name, member: undefined });
      },
      NewExpression(node) {
        const isNow = (node.callee as Named).name === "Date" && node.arguments.length === 0;
        if (isNow && roomOf(path) !== "runtime") {
          context.report({ node, message: "only src/runtime may use new Date()" });
        }
      },
    };
  },
};

const plugin: Deno.lint.Plugin = { name: "layers", rules: { arrows, rooms } };
export default plugin;
