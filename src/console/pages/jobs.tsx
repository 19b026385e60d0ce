/** Every job that is kept: planned, running and ended. */
import { JOB_STATUSES } from "../../jobs/job.ts";
import { explain } from "../../operations/explain.ts";
import { jobs as listJobs } from "../../operations/jobs.ts";
import { count } from "../format.ts";
import { JobList } from "../lists.tsx";
import type { Html, Page } from "../page.ts";
import { Empty } from "../parts.tsx";

/** The page of all jobs. */
export const jobs: Page = {
  path: "/jobs",
  section: "/jobs",
  isLive: true,
  title: () => "Jobs",
  async render({ reader, url, role, live }) {
    const source = url.searchParams.get("source") ?? "";
    const status = JOB_STATUSES.find((one) => one === url.searchParams.get("status")) ?? "";
    const [{ sources }, { jobs: all }] = await Promise.all([
      reader.read(explain, {}),
      reader.read(listJobs, source === "" ? {} : { source }),
    ]);
    const shown = all.filter((job) => status === "" || job.status === status);
    const names = sources.map((one) => one.source);
    const next = pathOf({ source, status });
    return (
      <>
        {live(
          "job-filter",
          (
            <div class="choice">
              {names.length > 1 && (
                <nav class="segs" aria-label="Source">
                  {["", ...names].map((name) => (
                    <a href={pathOf({ source: name, status })} aria-current={name === source ? "true" : undefined}>
                      {name || "all sources"}
                    </a>
                  ))}
                </nav>
              )}
              <nav class="segs" aria-label="Status">
                {(["", ...JOB_STATUSES] as const).map((one) => (
                  <a href={pathOf({ source, status: one })} aria-current={one === status ? "true" : undefined}>
                    {one || "all"}{" "}
                    <b>
                      {count(
                        all.filter((job) =>
                          one === "" || job.status === one
                        ).length,
                      )}
                    </b>
                  </a>
                ))}
              </nav>
            </div>
          ) as Html,
        )}
        {live(
          "job-list",
          (
            <section class="card">
              {shown.length === 0 && all.length > 0
                ? <Empty>No job is {status}. Ended jobs are kept for 7 days, plans for an hour.</Empty>
                : <JobList jobs={shown} role={role} next={next} />}
            </section>
          ) as Html,
        )}
      </>
    ) as Html;
  },
};

function pathOf(filter: { readonly source: string; readonly status: string }): string {
  const params = new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== ""));
  return params.size > 0 ? `/jobs?${params}` : "/jobs";
}
