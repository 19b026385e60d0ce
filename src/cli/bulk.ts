/** Verbs over many messages: plan, show, ask, start, follow. */
import type { ApiFlags } from "./api_commands.ts";
import { planAndAsk } from "./ask_first.ts";
import { findOffer, type Offer } from "./catalog.ts";
import type { ApiClient, Input } from "./client.ts";
import type { CliContext } from "./context.ts";
import { followJob, type JobName, sayItGoesOn } from "./follow.ts";
import { type Job, type Plan, viewPlan } from "./job_views.ts";

interface PlannedJob {
  readonly job: Job;
  readonly plan: Plan;
}

/** Plans a job, and starts it if the operator agrees. Returns the exit code. */
export async function planAndStart(
  { client, offer, input, flags }: { client: ApiClient; offer: Offer; input: Input; flags: ApiFlags },
  context: CliContext,
): Promise<number> {
  const nameOf = ({ job: { id, source } }: PlannedJob): JobName => ({ id, source });
  return await planAndAsk({
    what: "job",
    plan: async () => await client.run(offer, input) as PlannedJob,
    view: viewPlan,
    afterPlan: ({ job: { id, source } }) => `To start it: mutt-remediation jobs confirm ${id} --source ${source}\n`,
    refused: "Nothing was started, and nothing has moved. The plan expires by itself.\n",
    start: (planned) => client.run(findOffer("jobs_confirm"), { ...nameOf(planned) }),
    goesOn: (planned) => sayItGoesOn(nameOf(planned)),
    follow: (planned) => followJob(client, nameOf(planned), { flags, context }),
  }, { flags, context });
}
