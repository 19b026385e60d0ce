/** `deno task test:redis`: runs the tests that need Redis on other versions of it. */
import { filesIn, ROOT } from "./child.ts";
import { testsThatReach } from "./reach.ts";
import { readServerVersion, SERVER_VARIABLE } from "./redis_server.ts";
import { bringRedis, REDIS_VERSIONS } from "./redis_versions.ts";
import { addTallies, conclude, formatTally, NO_TESTS, SUITES, type Tally, tallySuites } from "./test_run.ts";

const NAMES = Object.keys(REDIS_VERSIONS);

const USAGE = `Usage: deno task test:redis [--short] <server>…
       deno task test:redis [--short] all

Runs the tests that start a Redis server on others than this machine's. They are brought out of Debian's packages into a
cache (Linux, apt with a mirror of Debian); nothing is installed. One that cannot be brought is skipped.
To run any task on a server of your own, set ${SERVER_VARIABLE} to the path of its program.

  <server>  ${NAMES.join(", ")}
  --short   only moves, guards, records, refusals, jobs and the journal: about a minute each`;

const FOLDERS = ["src", "testkit", "tests", "scripts", "demo", "bench"];
const RUN = [SUITES.quick, SUITES.long, SUITES.chaos];

/** What shows that a server can be used: the move, its guard, records, what Redis refuses and in which words, jobs, the journal. */
const SHORT = [
  "acl_test.ts",
  "jobs_test.ts",
  "journal_test.ts",
  "move_trial_test.ts",
  "record_beside_test.ts",
  "redis_errors_test.ts",
  "store_commit_test.ts",
  "store_cycle_test.ts",
  "store_guard_test.ts",
  "store_read_test.ts",
].map((name) => `tests/integration/${name}`);

/** What to run. */
export interface Wanted {
  readonly servers: readonly string[];
  readonly isShort: boolean;
}

/** Parses the arguments. Pure. @returns what is wrong with them, or that help is wanted */
export function parseWanted(args: readonly string[]): Wanted | { readonly help: true } | { readonly wrong: string } {
  if (args.some((arg) => ["--help", "-h"].includes(arg))) return { help: true };
  const names = args.filter((arg) => arg !== "--short");
  const unknown = names.filter((name) => name !== "all" && !NAMES.includes(name));
  if (unknown.length > 0) {
    return {
      wrong: `unknown: ${unknown.map((name) => JSON.stringify(name)).join(", ")}; known: ${NAMES.join(", ")}, all`,
    };
  }
  if (names.length === 0) return { wrong: `name a server: ${NAMES.join(", ")}, or all` };
  return {
    servers: NAMES.filter((name) => names.includes(name) || names.includes("all")),
    isShort: args.includes("--short"),
  };
}

/** Runs the tests. The last line on stdout counts those of all servers. @returns an exit code: 2 for wrong arguments */
export async function testRedis(args: readonly string[]): Promise<number> {
  const wanted = parseWanted(args);
  if ("help" in wanted) {
    console.log(USAGE);
    return 0;
  }
  if ("wrong" in wanted) {
    console.error(`test:redis: ${wanted.wrong}\n\n${USAGE}`);
    return 2;
  }
  const files = wanted.isShort ? SHORT : testsWithRedis();
  const tallies: [server: string, Tally][] = [];
  let skipped = 0;
  for (const server of wanted.servers) {
    const path = await bring(server);
    if (path === null) skipped++;
    else tallies.push([server, await tallySuites(RUN, { files, env: { [SERVER_VARIABLE]: path } })]);
  }
  console.log();
  for (const [server, tally] of tallies) console.log(`${server}: ${formatTally(tally)}`);
  const sum = tallies.map(([, tally]) => tally).reduce(addTallies, { ...NO_TESTS, skipped });
  const code = conclude(sum);
  return tallies.length === 0 ? 0 : code;
}

/** @returns the path of the program; `null` if it cannot be brought, which is printed */
async function bring(server: string): Promise<string | null> {
  try {
    const path = await bringRedis(server), { name, version } = readServerVersion(path);
    console.log(`\n${server} is ${name} ${version}`);
    return path;
  } catch (error) {
    console.log(`\n${server} cannot be brought here, so it is skipped: ${(error as Error).message}`);
    return null;
  }
}

/** Test files that reach the start of a server. */
function testsWithRedis(): string[] {
  return testsThatReach(["scripts/redis_server.ts"], {
    sources: new Map(
      FOLDERS.flatMap((folder) => filesIn(folder, ".ts")).map((path) => [path, Deno.readTextFileSync(ROOT + path)]),
    ),
    folders: RUN.flatMap(({ folders }) => folders.map((folder) => `tests/${folder}`)),
  });
}
