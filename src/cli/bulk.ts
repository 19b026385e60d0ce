/** Verbs over many messages: plan, show, ask, start, follow. */
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { canAsk, readLine } from "../runtime/terminal.ts";
import type { ApiFlags } from "./api_commands.ts";
import { findOffer, type Offer } from "./catalog.ts";
import { type ApiClient, ApiError, type Input } from "./client.ts";
import type { CliContext } from "./context.ts";
import { followJob, sayItGoesOn } from "./follow.ts";
import { type Job, type Plan, viewPlan } from "./job_views.ts";
import { formatOf } from "./output.ts";

/** Plans a job, and starts it if the operator agrees. Returns the exit code. */
export async function planAndStart(
  { client, offer, input, flags }: { client: ApiClient; offer: Offer; input: Input; flags: ApiFlags },
  context: CliContext,
): Promise<number> {
  const isText = formatOf(flags) === "text";
  if (!flags.yes && !flags.plan && !canAsk()) {
    throw new ApiError(
      "There is no terminal to ask on. Nothing was planned: add --yes to start the job, or --plan to see its plan",
      {
        exitCode: EXIT.usage,
      },
    );
  }
  const planned = await client.run(offer, input) as { readonly job: Job; readonly plan: Plan };
  const { id, source } = planned.job, name = { id, source };
  if (isText) writeOut(viewPlan(planned));
  if (flags.plan) {
    if (!isText) writeOut(`${JSON.stringify(planned)}\n`);
    else writeOut(`To start it: mutt-remediation jobs confirm ${id} --source ${source}\n`);
    return EXIT.done;
  }
  if (!flags.yes && !await agrees(context)) {
    writeErr("Nothing was started, and nothing has moved. The plan expires by itself.\n");
    return context.signal.aborted ? EXIT.interrupted : EXIT.failed;
  }
  const started = await client.run(findOffer("jobs_confirm"), name);
  if (flags.detach) {
    if (isText) writeOut(sayItGoesOn(name));
    else writeOut(`${JSON.stringify(started)}\n`);
    return EXIT.done;
  }
  return await followJob(client, name, { flags, context });
}

async function agrees({ signal }: CliContext): Promise<boolean> {
  writeErr("Start it? [y/N] ");
  const answer = await readLine(signal);
  if (answer === null) writeErr("\n");
  return /^y(es)?$/i.test(answer?.trim() ?? "");
}
