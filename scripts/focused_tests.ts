/** `deno task t`: runs the tests that reach a file or match a name. */
import { filesIn, ROOT } from "./child.ts";
import { findRedisServer } from "./redis_server.ts";
import { testsThatReach } from "./reach.ts";
import { runSuites, SUITES } from "./test_run.ts";

const USAGE = `Usage: deno task t [--all] <file>… | <name> | --changed

  <file>     unit tests that reach these files through imports
  <name>     unit tests with this text in their name
  --changed  unit tests that reach the files that differ from HEAD
  --all      also property, integration, long and deployment tests`;

const FOLDERS = ["src", "testkit", "tests", "scripts", "demo", "bench"];

/** Runs the selected tests. @returns an exit code: 2 if nothing is selected */
export async function runFocused(args: readonly string[]): Promise<number> {
  const isAll = args.includes("--all"), isChanged = args.includes("--changed");
  const given = args.filter((arg) => !arg.startsWith("--"));
  const unknown = args.find((arg) => arg.startsWith("--") && arg !== "--all" && arg !== "--changed");
  if (unknown !== undefined || isChanged === (given.length > 0)) {
    console.error(unknown === undefined ? USAGE : `Unknown option ${unknown}\n\n${USAGE}`);
    return 2;
  }
  const suites = isAll ? [SUITES.unit, SUITES.quick, SUITES.long] : [SUITES.unit];
  if (isAll) await findRedisServer();
  const files = isChanged ? await changedFiles() : given.map(toPath);
  const isName = !isChanged && !files.every(isFile);
  if (isName && given.length > 1) {
    console.error(`No such file: ${given.find((one) => !isFile(toPath(one)))}`);
    return 2;
  }
  const reaching = isName ? null : testsThatReach(files, {
    sources: new Map(FOLDERS.flatMap((folder) => filesIn(folder, ".ts")).map((path) => [path, read(path)])),
    folders: suites.flatMap(({ folders }) => folders.map((folder) => `tests/${folder}`)),
  });
  if (reaching?.length === 0) {
    console.log(`No ${isAll ? "" : "unit "}test reaches ${files.join(", ") || "a change: there is none"}`);
    return 0;
  }
  return await runSuites(suites, { files: reaching, filter: isName ? given[0]! : null });
}

/** Paths that differ from HEAD, including new files, without deleted ones. */
async function changedFiles(): Promise<string[]> {
  const list = async (...args: string[]) => {
    const { stdout, success } = await new Deno.Command("git", { args, cwd: ROOT, stderr: "inherit" }).output();
    return success ? new TextDecoder().decode(stdout).split("\n").filter((path) => path !== "") : [];
  };
  const [changed, added] = await Promise.all([
    list("diff", "--name-only", "HEAD"),
    list("ls-files", "--others", "--exclude-standard"),
  ]);
  return [...changed, ...added].filter(isFile);
}

function toPath(given: string): string {
  return given.startsWith(ROOT) ? given.slice(ROOT.length) : given.replace(/^\.\//, "");
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(ROOT + path).isFile;
  } catch {
    return false;
  }
}

function read(path: string): string {
  return Deno.readTextFileSync(ROOT + path);
}
