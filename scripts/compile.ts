/** Compiles `dist/mutt-remediation`, and lists the permissions for running from source. */
import { parseArgs } from "node:util";
import { environmentPrefixes } from "../src/config/fields.ts";
import { RUNTIME_VARIABLES } from "../src/config/runtime_variables.ts";
import { NPX_VARIABLE, SERVE_ADDRESS_VARIABLE } from "../src/runtime/process.ts";
import { ROOT, runDeno } from "./child.ts";
import { EXIT } from "./program.ts";

/** Default path of the binary, relative to the repository's root. */
export const BINARY = "dist/mutt-remediation";
/** Target platforms: Docker's name and Deno's. Each can be compiled on any of them. */
export const PLATFORMS = {
  "linux/amd64": "x86_64-unknown-linux-gnu",
  "linux/arm64": "aarch64-unknown-linux-gnu",
  "darwin/amd64": "x86_64-apple-darwin",
  "darwin/arm64": "aarch64-apple-darwin",
} as const;

const HELP = `Compiles the binary.

Usage: deno task compile [--platform PLATFORM] [--output FILE]

  --platform PLATFORM  ${Object.keys(PLATFORMS).join(", ")}; default: this machine
  --output FILE        default: ${BINARY}

Exit codes: 0 compiled; 1 failed; 2 invalid command line.`;

/**
 * The bundled modules; removed after the build. Few files start sooner than a module tree and need 8 MiB less when idle
 * (bench/figures.md). A module that is imported with `import()` becomes a file of its own, which is read only when it is
 * imported; `compile --bundle` would put all into one file, which every command parses whole.
 */
const BUNDLE = "dist/bundle";
const BUNDLE_FLAGS = ["--platform=deno", "--minify", "--code-splitting"];
const ENTRY = "src/main.ts";
/** Embedded in the binary for `src/app/version.ts`, beside the bundled modules. */
const COMMIT_FILE = `${BUNDLE}/commit`;
/**
 * A small young generation frees the bytes of chunks early: a drain needs 105 MiB instead of 160, at 95 % of the rate
 * (bench/figures.md).
 */
const LEAN_FLAGS = ["--v8-flags=--max-semi-space-size=2"];

/**
 * Permissions of the program, as flags of `deno run` and `deno compile`. It may not run programs, load libraries or
 * read system information, except its user id (it warns about a `.env` of another user). It may read any file, since
 * the operator chooses the paths. It may write only to the folders of Redis' Unix sockets, because connecting counts as
 * writing. Variables that are not listed read as absent instead of ending the program.
 */
export function permissionFlags(): string[] {
  return [
    "--no-prompt",
    "--allow-net",
    `--allow-env=${[...environmentPrefixes(), ...RUNTIME_VARIABLES, NPX_VARIABLE, SERVE_ADDRESS_VARIABLE].join(",")}`,
    "--ignore-env",
    "--allow-read",
    "--allow-write=/run/redis,/var/run/redis,/run/mutt-remediation",
    "--allow-sys=uid",
  ];
}

/**
 * Compiles with the options of the command line. `DENORT_BIN`, a variable of Deno, may name the base binary.
 * @returns an exit code; explains a failure on stderr.
 */
export async function compile(args: readonly string[]): Promise<number> {
  const wanted = parseOptions(args);
  if (typeof wanted === "number") return wanted;
  await removeBundle(); // of a build that was killed
  try {
    const bundled = await runDeno(["bundle", "--check", ...BUNDLE_FLAGS, `--outdir=${BUNDLE}`, ENTRY]);
    if (bundled !== 0) return bundled;
    await Deno.writeTextFile(ROOT + COMMIT_FILE, await describeCommit());
    const code = await runDeno([
      "compile",
      "--no-config", // nothing is left to resolve or to check
      "--no-check",
      "--no-code-cache", // it would live in a predictable file in /tmp
      ...LEAN_FLAGS,
      ...permissionFlags(),
      ...targetFlags(wanted.platform),
      `--include=${COMMIT_FILE}`,
      `--output=${wanted.output}`,
      `${BUNDLE}/main.js`,
    ]);
    if (code !== 0) console.error(explainFailure(Deno.env.get("DENORT_BIN")));
    return code;
  } finally {
    await removeBundle();
  }
}

async function removeBundle(): Promise<void> {
  await Deno.remove(ROOT + BUNDLE, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

interface Options {
  readonly platform: string;
  readonly output: string;
}

/** @returns an exit code if there is nothing to compile */
function parseOptions(args: readonly string[]): Options | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        platform: { type: "string", default: "" },
        output: { type: "string", default: BINARY },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return EXIT.good;
    }
    targetFlags(values.platform);
    return values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return EXIT.usage;
  }
}

/**
 * Maps a platform to flags of `deno compile`; none for an empty name, which is this machine. @throws RangeError if
 * unknown
 */
export function targetFlags(platform: string): string[] {
  if (platform === "") return [];
  const known = platform.replace(/^(linux\/arm64)\/v8$/, "$1"); // an engine may add the variant; there is only one
  if (Object.hasOwn(PLATFORMS, known)) return [`--target=${PLATFORMS[known as keyof typeof PLATFORMS]}`];
  throw new RangeError(`--platform "${platform}" is not one of ${Object.keys(PLATFORMS).join(", ")}`);
}

function explainFailure(base: string | undefined): string {
  return base
    ? `compile failed with the base binary in DENORT_BIN, ${base}`
    : "compile failed. If the download above is what failed: DENORT_BIN is not set either, so there is no base binary (denort)";
}

/** The commit, with `-dirty` if files differ from it. Without Git (an image build): `BUILD_COMMIT`, else `unknown`. */
export async function describeCommit(): Promise<string> {
  try {
    const git = await new Deno.Command("git", { args: ["describe", "--always", "--dirty", "--abbrev=12"], cwd: ROOT })
      .output();
    if (git.success) return new TextDecoder().decode(git.stdout).trim();
  } catch {
    // No Git here.
  }
  return Deno.env.get("BUILD_COMMIT") ?? "unknown";
}

if (import.meta.main) Deno.exit(await compile(Deno.args));
