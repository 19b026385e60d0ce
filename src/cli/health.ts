/** `mutt-remediation health`: asks the running service on this machine; for HEALTHCHECK lines and people. */
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
        const headers = json ? { accept: "application/json" } : {};
        const response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
        writeOut(`${(await response.text()).trimEnd()}\n`);
        context.exitCode = response.ok ? EXIT.done : EXIT.failed;
      } catch (error) {
        const why = error instanceof DOMException
          ? `no answer within ${TIMEOUT_MS / 1_000} s`
          : "nothing listens there";
        writeErr(`Cannot ask ${url}: ${why} (HEALTH_PORT_REMEDIATION, REMEDIATION_BIND_ADDRESS)\n`);
        context.exitCode = EXIT.failed;
      }
    });
}

/** Where a service bound to that address is reached from this machine. */
function loopbackFor(bindAddress: string): string {
  if (bindAddress === "0.0.0.0" || bindAddress === "") return "127.0.0.1";
  if (bindAddress === "::") return "[::1]";
  return bindAddress.includes(":") ? `[${bindAddress}]` : bindAddress;
}
