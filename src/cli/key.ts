/** `mutt-remediation key`: keys of the API. */
import { type Command, Option } from "commander";
import { NAME_PATTERN, ROLES } from "../config/api_keys.ts";
import { writeOut } from "../runtime/process.ts";
import { NEEDS } from "./needs.ts";

/** Adds the command. */
export function addKeyCommand(program: Command): void {
  const key = program.command("key").description("Make keys of the API");
  key.command("new")
    .description("Make a key, and print it once with the line for the configuration")
    .requiredOption("--name <name>", "who uses it, for log and journal")
    .addOption(new Option("--role <role>", "what it may do").choices([...ROLES]).makeOptionMandatory())
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The service stores only the digest of a key. Put the line into the file of REMEDIATION_API_KEYS_FILE, which is read again when
it changes, or into REMEDIATION_API_KEYS. To replace a key, add the new line, change its users, remove the old line.

Examples:
  mutt-remediation key new --name ann --role operator
  mutt-remediation key new --name grafana --role viewer --json`,
    )
    .action(async ({ name, role, json }: { name: string; role: string; json?: boolean }) => {
      if (!NAME_PATTERN.test(name)) {
        key.error("error: --name is not 1 to 64 letters, digits, _, ., @ and -, beginning with a letter or digit");
      }
      const { createKey } = await NEEDS.createKey();
      const { key: text, entry } = createKey({ name, role });
      if (json) writeOut(`${JSON.stringify({ name, role, key: text, entry })}\n`);
      else writeOut(`Key, shown only now:    ${text}\nConfiguration line:     ${entry}\n`);
    });
}
