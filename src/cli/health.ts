/** `mutt-remediation health`: asks the running service on this machine; for HEALTHCHECK lines and people. */
import { get } from "node:http";
import type { Command } from "commander";
import { EXIT } from "../app/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { type CliContext, settingsOrExit } from "./context.ts";

/** How long the service may take to answer. */
const TIMEOUT_MS = 5_000;

/** Adds the command. */
export function addHealthCommand(program: Command, context: CliContext): void {
  program.command("health")
    .description("Ask the service that runs on this machine whether it is healthy")
    .option("--json", "print the whole answer: every gate with its reason, since when, and when it is asked next")
    .addHelpText(
      "after",
      `
Asks /health on the loopback address and HEALTH_PORT_REMEDIATION. Exit 0: healthy; 1: not, or no answer.

Examples:
  mutt-remediation health
  mutt-remediation health --json | jq '.sources[].gates[] | select(.open | not)'`,
    )
    .action(async ({ json }: { json?: true }) => {
      const loaded = settingsOrExit(context);
      if (!loaded) return;
      const { bindAddress, healthPort } = loaded.settings;
      const url = `http://${loopbackFor(bindAddress)}:${healthPort}/health`;
      try {
        const { status, text } = await ask(url, json ? "application/json" : "text/plain");
        writeOut(`${text.trimEnd()}\n`);
        context.exitCode = status === 200 ? EXIT.done : EXIT.failed;
      } catch (error) {
        const isLate = error instanceof Error && error.message === LATE;
        const why = isLate ? `no answer within ${TIMEOUT_MS / 1_000} s` : "nothing listens there";
        writeErr(`Cannot ask ${url}: ${why} (HEALTH_PORT_REMEDIATION, REMEDIATION_BIND_ADDRESS)\n`);
        context.exitCode = EXIT.failed;
      }
    });
}

const LATE = "late";

/** Asks directly: `fetch` would go through a proxy that the environment names, and take its answer for the service's. */
function ask(url: string, accept: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers: { accept }, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => text += part);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(LATE)));
    request.on("error", reject);
  });
}

/** Where a service bound to that address is reached from this machine. */
function loopbackFor(bindAddress: string): string {
  if (bindAddress === "0.0.0.0" || bindAddress === "") return "127.0.0.1";
  if (bindAddress === "::") return "[::1]";
  return bindAddress.includes(":") ? `[${bindAddress}]` : bindAddress;
}
