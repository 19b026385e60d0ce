/** Audits the packages of `deno.lock` for known vulnerabilities through npm's registry. */
import { ROOT } from "./child.ts";
import { formatTally, type Tally } from "./test_run.ts";

/** Time limit; a longer audit means a broken network. */
const LIMIT_MS = 60_000;

/** Result of an audit; `unknown` if the registry could not be queried. */
export type AuditResult = "clean" | "vulnerable" | "unknown";

const TALLIES: Readonly<Record<AuditResult, Tally>> = {
  clean: { passed: 1, failed: 0, skipped: 0 },
  vulnerable: { passed: 0, failed: 1, skipped: 0 },
  unknown: { passed: 0, failed: 0, skipped: 1 },
};

/** Parses the output of `deno audit`. Its exit code is 1 both for a vulnerability and for a missing network. */
export function judgeAudit({ code, stdout }: { readonly code: number; readonly stdout: string }): AuditResult {
  if (code === 0) return "clean";
  return /^Found \d+ vulnerabilit/m.test(stdout) ? "vulnerable" : "unknown";
}

/** Runs the audit with `env` added to this process's variables. `told` is a summary for people. */
export async function audit(
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly result: AuditResult; readonly told: string }> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["audit", "--level=high"],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  const result = judgeAudit({ code: output.code, stdout: stdout! });
  return { result, told: result === "unknown" ? `could not be reached, skipped (${causeOf(stderr!)})` : stdout! };
}

/** The first cause in the output: the error itself contains the registry's address. */
function causeOf(stderr: string): string {
  const [first = ""] = (stderr.split("Caused by:")[1] ?? "").trim().split("\n");
  return first.replace(/^0: /, "") || "no answer";
}

/**
 * Audits, prints the findings, and ends with a tally as the last line. Fails for high and critical vulnerabilities.
 * Only prints lower ones and an unreachable registry. @returns an exit code.
 */
export async function runAudit(): Promise<number> {
  const { result, told } = await audit();
  console.log(`audit, the registry's list of known vulnerabilities: ${told}`);
  console.log(formatTally(TALLIES[result]));
  return result === "vulnerable" ? 1 : 0;
}
