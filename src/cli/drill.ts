/** `drill`: shows the plan, asks, starts it, follows it, and prints the report. */
import type { DrillAnswer } from "../operations/drill.ts";
import type { DrillOutput, ShownDrill } from "../operations/shown_drill.ts";
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import type { ApiFlags } from "./api_commands.ts";
import { planAndAsk } from "./ask_first.ts";
import { findOffer, type Offer } from "./catalog.ts";
import type { ApiClient, Input } from "./client.ts";
import type { CliContext } from "./context.ts";
import { describeDrill, describeStage, hasDrillEnded, viewDrillPlan } from "./drill_views.ts";
import { lookUntil } from "./look_until.ts";
import { formatOf } from "./output.ts";

/** Plans a drill, and starts it if the operator agrees. Returns the exit code: failed if a message was lost or doubled. */
export async function planAndDrill(
  { client, offer, input, flags }: { client: ApiClient; offer: Offer; input: Input; flags: ApiFlags },
  context: CliContext,
): Promise<number> {
  const run = async (confirm: boolean) => await client.run(offer, { ...input, confirm }) as DrillAnswer;
  return await planAndAsk({
    what: "drill",
    plan: () => run(false),
    view: ({ plan }) => viewDrillPlan(plan),
    afterPlan: () => "Nothing was started.\n",
    refused: "Nothing was started.\n",
    start: () => run(true),
    goesOn: (_, { drill }) => sayDrillGoesOn(drill!),
    follow: (_, { drill }) => followDrill(client, drill!, { flags, context }),
  }, { flags, context });
}

/** Prints each stage of a drill until it ends, then its report. Ctrl-C ends only the view. Returns the exit code. */
async function followDrill(
  client: ApiClient,
  { id, source }: ShownDrill,
  { flags, context: { signal } }: { flags: ApiFlags; context: CliContext },
): Promise<number> {
  let told = "";
  const code = await lookUntil(async () => {
    const { drill } = await client.run(findOffer("drills_show"), { id, source }) as DrillOutput;
    if (hasDrillEnded(drill)) {
      writeOut(formatOf(flags) === "text" ? describeDrill(drill) : `${JSON.stringify(drill)}\n`);
      return judge(drill);
    }
    const stage = describeStage(drill);
    if (stage !== told) writeErr(`${stage}\n`);
    told = stage;
    return null;
  }, signal);
  if (code !== null) return code;
  writeErr(sayDrillGoesOn({ id, source }));
  return EXIT.interrupted;
}

function judge({ status, report }: ShownDrill): number {
  return status === "healed" && report && report.lost + report.doubled === 0 ? EXIT.done : EXIT.failed;
}

function sayDrillGoesOn({ id, source }: Pick<ShownDrill, "id" | "source">): string {
  return `The drill goes on, and ends by itself.\nSee it: mutt-remediation drills show ${id} --source ${source}\n` +
    `Cancel it: mutt-remediation drills cancel ${id} --source ${source}\n`;
}
