/** What `/api/v1/events` follows: the service, its sources, their running jobs, and the journal. */
import type { EventFeed } from "../api/events.ts";
import type { RunningJob } from "../cycle/running_job.ts";
import type { Journal } from "../journal/journal.ts";
import type { ServiceContext } from "../operations/context.ts";
import { describeFound } from "../operations/journal.ts";
import { status } from "../operations/status.ts";

/** Entries of the journal that a new client gets. */
const LATEST_ENTRIES = 100;
/** New entries in one read. If there are more, only the latest are sent. */
const NEW_ENTRIES = 500;

/** Creates the feeds. Only the journal's does IO. */
export function createFeeds(context: ServiceContext, journal: Pick<Journal, "query" | "end">): readonly EventFeed[] {
  const jobs = () =>
    context.sources().flatMap(({ parts: { setup, replay } }) => {
      const job = replay.lastSnapshot()?.record.job;
      return job ? [[job.id, describeJob(job, setup.policy.name)] as const] : [];
    });
  return [
    {
      name: "service",
      read: () => {
        const { sources: _, ...service } = status.run(context);
        return new Map([[context.podName, service]]);
      },
    },
    { name: "source", read: () => new Map(status.run(context).sources.map((source) => [source.name, source])) },
    { name: "job", read: () => new Map(jobs()) },
    createJournalFeed(journal, { isReady: () => context.connections.isReady() }),
  ];
}

/** A running or paused job as this instance has last seen it. */
function describeJob({ isPaused, isCancelled, ...job }: RunningJob, source: string): Record<string, unknown> {
  return { ...job, source, status: isCancelled ? "cancelling" : isPaused ? "paused" : "running" };
}

/** Follows every journal. During an outage of Redis it returns the entries that it knows, to keep the other feeds running. */
export function createJournalFeed(
  journal: Pick<Journal, "query" | "end">,
  { isReady }: { isReady: () => boolean },
): EventFeed {
  type Entries = Awaited<ReturnType<Journal["query"]>>["entries"];
  const keyed = (entries: Entries) =>
    entries.map((found) => [`${found.journal} ${found.source ?? ""} ${found.id}`, describeFound(found)] as const);
  let latest: readonly (readonly [string, unknown])[] = [], cursor: string | null = null;
  const begin = async () => {
    // The end is read first: an entry written between the two reads is then found twice instead of being missed.
    const end = await journal.end();
    const { entries } = await journal.query({ limit: LATEST_ENTRIES });
    return { entries: keyed(entries.toReversed()), end };
  };
  return {
    name: "journal",
    isJournal: true,
    read: async () => {
      if (!isReady()) return new Map(latest);
      const more = cursor === null ? null : await journal.query({ cursor, oldestFirst: true, limit: NEW_ENTRIES });
      const isBehind = more === null || !more.isComplete;
      const begun = isBehind ? await begin() : null;
      const current = new Map(begun ? begun.entries : [...latest, ...keyed(more!.entries)]);
      cursor = begun ? begun.end : more!.cursor;
      latest = [...current].slice(-LATEST_ENTRIES);
      return current;
    },
  };
}
