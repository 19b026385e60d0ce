/** What a job would do, before anything moves. Pure. */
import { LIST_WORDS } from "../message/source_policy.ts";
import type { JobOutput } from "../operations/found_job.ts";
import { Bar } from "./charts.tsx";
import { bytes, count, plural, rate, span } from "./format.ts";
import { describeTarget, groupPath } from "./lists.tsx";
import { viewPath } from "./messages_view.ts";
import type { Html } from "./page.ts";
import { Chip, Foreign, Masked, ReasonChip, Time } from "./parts.tsx";
import type { ShownJob } from "./readings.ts";

/** A plan as it was shown to who made it. */
export type ShownPlan = NonNullable<JobOutput["plan"]>;

/** What would happen: how many, how long, what holds it, what can be undone. */
export function PlanFacts({ job, plan }: { job: ShownJob; plan: ShownPlan }): Html {
  const { heldBy, estimate, undo, cannot, oversize, ofOthers } = plan;
  const waits = heldBy.filter(({ isOverridden }) => !isOverridden);
  return (
    <dl class="facts">
      {job.verb === "undo" ? <Fact name="Brings back">{undo}</Fact> : <Takes job={job} plan={plan} />}
      {oversize + ofOthers > 0 && (
        <Fact name="Leaves">
          {[
            oversize > 0 ? `${plural(oversize, "message")} too large to be read` : "",
            ofOthers > 0 ? `${plural(ofOthers, "message")} that another source buried` : "",
          ].filter((part) => part !== "").join(", ")}: selected, but they stay.
        </Fact>
      )}
      <Fact name="Time">
        {estimate.seconds !== null && estimate.perSecond !== null
          ? `about ${span(estimate.seconds * 1_000)}, at ${rate(estimate.perSecond)}`
          : estimate.reason}
      </Fact>
      <Fact name="Gates">
        {heldBy.length === 0 && "None would hold it now."}
        {heldBy.length > 0 && (
          <ul>
            {heldBy.map(({ gate, words, isOverridden }) => (
              <li>
                <Chip mood={isOverridden ? "warn" : "bad"}>{gate}</Chip> {words}
                {isOverridden && " – overridden for this job"}
              </li>
            ))}
          </ul>
        )}
        {waits.length > 0 && <p class="k">The job can be confirmed now; it waits until they open.</p>}
      </Fact>
      {job.verb !== "undo" && <Fact name="Undo">{undo}</Fact>}
      {cannot.length > 0 && (
        <Fact name="Not back">
          <ul>{cannot.map((one) => <li>{one}</li>)}</ul>
        </Fact>
      )}
    </dl>
  ) as Html;
}

function Takes({ job, plan: { watermark, bytes: size } }: { job: ShownJob; plan: ShownPlan }): Html {
  return (
    <Fact name="Takes">
      <b>{plural(job.planned, "message")}</b>
      {watermark.depth > 0 && ` of ${count(watermark.depth)} in the ${LIST_WORDS[job.list]}`}
      {size > 0 && `, ${bytes(size)}`}.
      {watermark.depth > 0 && (
        <>
          {" What arrives after "}
          <Time at={job.createdAt} as="minute" />
          {" is not touched."}
        </>
      )}
    </Fact>
  ) as Html;
}

function Fact({ name, children }: { name: string; children?: unknown }): Html {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children as Html}</dd>
    </div>
  ) as Html;
}

/** What a job works on; a group by its text. */
export function PlanTarget({ job, plan }: { job: ShownJob; plan: ShownPlan | null }): Html {
  const group = plan?.groups.find((one) => job.query === `group:${one.group}`);
  if (!group) return <Foreign text={describeTarget(job)} /> as Html;
  return (
    <>
      <Masked text={group.text || "(no text)"} /> <ReasonChip reason={group.reason} />{" "}
      <span class="k">in the {LIST_WORDS[job.list]} of {job.source}</span>
    </>
  ) as Html;
}

/** What the messages are: by reason, by group, and one of each of the largest groups. */
export function PlanContents({ job, plan }: { job: ShownJob; plan: ShownPlan }): Html | null {
  const { groups, samples, byReason } = plan, { source, list } = job;
  if (groups.length === 0) return null;
  const most = Math.max(1, ...groups.map((group) => group.count));
  const listed = groups.reduce((sum, group) => sum + group.count, 0), rest = job.planned - listed;
  return (
    <section class="card">
      <header>
        <h2>{job.endedAt === null ? "What it takes" : "What was planned"}</h2>
        <span class="k">
          {Object.entries(byReason).toSorted(([, a], [, b]) => b - a).map(([reason, value]) => (
            <>
              {" "}
              <ReasonChip reason={reason === "none" ? null : reason} /> {count(value)}
            </>
          ))}
        </span>
      </header>
      <ol class="groups">
        {groups.map((group) => {
          const sample = samples.find((one) => one.group === group.group);
          return (
            <li>
              <a
                href={groupPath({ ...group, source, list })}
                data-row
                title="The messages of this group"
              >
                <span class="n">{count(group.count)}</span>
                <Masked text={group.text || "(no text)"} />
                <ReasonChip reason={group.reason} />
                <span></span>
                <Bar share={group.count / most} />
              </a>
              {sample && (
                <p class="sample k">
                  for example{" "}
                  <a href={viewPath({ source, list, message: sample.id, near: sample.place })}>
                    <code>{sample.id}</code>
                  </a>{" "}
                  {Object.values(sample.shown).filter((value) => value !== null).map((value) => (
                    <>
                      <Foreign text={String(value)} />
                      {" "}
                    </>
                  ))}
                </p>
              )}
            </li>
          );
        })}
      </ol>
      {rest > 0 && <p class="pad k">and {count(rest)} in smaller groups</p>}
    </section>
  ) as Html;
}
