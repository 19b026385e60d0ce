/** The completion scripts in real shells. As root on Debian without a terminal the shells are installed. */
import assert from "node:assert/strict";
import { onPath } from "../../scripts/child.ts";
import { hasApt, installPackages } from "../../scripts/debian.ts";
import { CliScene, runOnTerminal, type Step, whyNoLocalKey, whyNoTerminal } from "../../testkit/cli.ts";
import { waitUntil } from "../../testkit/wait.ts";

const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

function hasShells(): boolean {
  return onPath("zsh") !== undefined && onPath("fish") !== undefined && isFile(BASH_COMPLETION);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

if (!hasShells() && hasApt() && Deno.uid() === 0 && !Deno.stdin.isTerminal()) {
  await installPackages(["zsh", "fish", "bash-completion"]).catch((error) => console.error(`${error}`));
}

const whyNot = whyNoLocalKey() ?? whyNoTerminal() ?? (hasShells() ? null : "no zsh, fish or bash-completion");

/** Starts of shells, and what makes them complete. */
const SHELLS = {
  bash: {
    command: ["bash", "--noprofile", "--norc", "-i"],
    setup: `PS1="rea"'dy> '; source ${BASH_COMPLETION}; source <(mutt-remediation complete bash)`,
  },
  zsh: {
    command: ["zsh", "-f", "-i"],
    setup: `PS1="rea"'dy> '; autoload -U compinit; compinit -u -D; source <(mutt-remediation complete zsh)`,
  },
} as const;

/** A command, a flag and a value of the service, each begun and completed by the tab key; then the command runs. */
const TYPED: readonly Step[] = [
  [/ready> /, "mutt-remediation dl\t"],
  [/mutt-remediation dlq /, "li\t"],
  [/list /, "--sou\t"],
  [/--source /, "al\t"],
  // The service may take longer to name values than a shell waits; an operator presses the key again.
  [/alerter /, "\r", "\t"],
  [/0 of 0 messages[^]*ready> /, "exit\r"],
];

for (const [shell, { command, setup }] of Object.entries(SHELLS)) {
  Deno.test({
    name: `completion: ${shell} completes commands, flags and values as they are typed${
      whyNot ? ` (ignored: ${whyNot})` : ""
    }`,
    ignore: whyNot !== null,
    fn: async () => {
      await using scene = await CliScene.open();
      const env = { ...scene.shellEnv(scene.redis.dir), BASH_SILENCE_DEPRECATION_WARNING: "1" };
      const { code, out } = await runOnTerminal(command, [[/[$%#] /, `${setup}\r`], ...TYPED], { env });
      assert.equal(code, 0, out);
    },
  });
}

Deno.test({
  name: `completion: fish completes commands, flags and values${whyNot ? ` (ignored: ${whyNot})` : ""}`,
  ignore: whyNot !== null,
  fn: async () => {
    await using scene = await CliScene.open();
    const env = scene.shellEnv(scene.redis.dir);
    const complete = async (text: string) => {
      const { stdout, stderr } = await new Deno.Command("fish", {
        args: ["--no-config", "-c", `mutt-remediation complete fish | source; complete --do-complete '${text}'`],
        ...{ env, clearEnv: true, stdin: "null" },
      }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assert.match(await complete("mutt-remediation dl"), /^dlq\t/);
    assert.match(await complete("mutt-remediation dlq "), /^list\t/m);
    assert.match(await complete("mutt-remediation dlq list --sou"), /^--source\t/);
    // The service may take longer to name values than a shell waits.
    await waitUntil(async () => (await complete("mutt-remediation dlq list --source ")).startsWith("alerter\t"), {
      what: "the source is completed",
    });
  },
});
