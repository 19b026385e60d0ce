/** Verbs that show a plan, ask, start what was planned, and follow it. */
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { canAsk, readLine } from "../runtime/terminal.ts";
import type { ApiFlags } from "./api_commands.ts";
import { ApiError } from "./client.ts";
import type { CliContext } from "./context.ts";
import { formatOf } from "./output.ts";
import type { Started } from "./wordings.ts";

/** How one verb plans and starts. */
export interface AskedVerb<Planned, Running> {
  readonly what: Started;
  readonly plan: () => Promise<Planned>;
  readonly view: (planned: Planned) => string;
  /** What to say after the view if the operator wanted the plan only. */
  readonly afterPlan: (planned: Planned) => string;
  /** What to say if the operator refuses. */
  readonly refused: string;
  readonly start: (planned: Planned) => Promise<Running>;
  /** What to say if the operator does not wait for the end. */
  readonly goesOn: (planned: Planned, running: Running) => string;
  /** Returns the exit code. */
  readonly follow: (planned: Planned, running: Running) => Promise<number>;
}

/**
 * Plans, and starts what was planned if the operator agrees. Returns the exit code.
 * @throws {ApiError} if nobody can be asked and no flag answers; then nothing was planned
 */
export async function planAndAsk<Planned, Running>(
  verb: AskedVerb<Planned, Running>,
  { flags, context }: { flags: ApiFlags; context: CliContext },
): Promise<number> {
  if (!flags.yes && !flags.plan && !canAsk()) {
    throw new ApiError(
      `There is no terminal to ask on. Nothing was planned: add --yes to start the ${verb.what}, or --plan to see its plan`,
      { exitCode: EXIT.usage },
    );
  }
  const isText = formatOf(flags) === "text", planned = await verb.plan();
  if (isText) writeOut(verb.view(planned));
  if (flags.plan) {
    writeOut(isText ? verb.afterPlan(planned) : `${JSON.stringify(planned)}\n`);
    return EXIT.done;
  }
  if (!flags.yes && !await agrees(context)) {
    writeErr(verb.refused);
    return context.signal.aborted ? EXIT.interrupted : EXIT.failed;
  }
  const running = await verb.start(planned);
  if (!flags.detach) return await verb.follow(planned, running);
  writeOut(isText ? verb.goesOn(planned, running) : `${JSON.stringify(running)}\n`);
  return EXIT.done;
}

/** Asks whether to start it. */
async function agrees({ signal }: CliContext): Promise<boolean> {
  writeErr("Start it? [y/N] ");
  const answer = await readLine(signal);
  if (answer === null) writeErr("\n");
  return /^y(es)?$/i.test(answer?.trim() ?? "");
}
