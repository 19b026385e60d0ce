/**
 * Queues of other libraries, by the names of their lists and by their messages. Their failed messages are not in a list that could
 * be put back, or the library keeps books about them: moving one behind its back loses it. Pure.
 */

/** A library, and what to do instead. */
export interface ForeignQueue {
  readonly library: string;
  /** Names of its lists; `null`: its names are anything. */
  readonly names: RegExp | null;
  /** Members that all of its messages have; empty: they cannot be told by that. */
  readonly members: readonly string[];
  readonly advice: string;
}

/** What `discover` recognizes and leaves alone. */
const FOREIGN_QUEUES: readonly ForeignQueue[] = [
  {
    library: "BullMQ",
    names: /^\{?bull(?:mq)?(?::|\})/i,
    members: [],
    advice: "it keeps failed jobs in sorted sets: use Queue.retryJobs(), or its dashboard",
  },
  {
    library: "Resque",
    names: /^resque:/,
    members: ["failed_at", "exception", "worker", "payload"],
    advice:
      "its list of failures holds envelopes: use Resque::Failure.requeue, or describe it yourself (docs/examples/resque.md)",
  },
  {
    library: "Celery",
    // kombu separates a priority from the queue's name with \x06 \x16.
    // deno-lint-ignore no-control-regex
    names: /^(?:celery(?:$|[@\x06])|_kombu\.|unacked)|\x06\x16/,
    members: ["body", "content-encoding", "properties"],
    advice:
      "it acknowledges tasks by its own keys: retry tasks in Celery (autoretry_for, acks_late), or describe a list of failed tasks yourself " +
      "(docs/examples/celery.md)",
  },
  {
    library: "RQ",
    names: /^rq:/,
    members: [],
    advice: "its lists hold ids of jobs: use rq requeue --all",
  },
  {
    library: "Laravel",
    names: /^(?:[\w-]+_database_)?queues:/,
    members: ["uuid", "displayName", "job", "data"],
    advice:
      "failed jobs are in its database: use php artisan queue:retry all, or describe a list of failed jobs yourself " +
      "(docs/examples/laravel.md)",
  },
  { library: "asynq", names: /^asynq:/, members: [], advice: "use asynq task runall" },
  {
    library: "Dramatiq",
    names: /^dramatiq:/,
    members: ["queue_name", "actor_name", "args", "message_id"],
    advice: "dead messages are in its sorted sets (.XQ): enqueue them again from there",
  },
  { library: "Bee-Queue", names: /^bq:/, members: [], advice: "its lists hold ids of jobs: use job.retries()" },
  // The last: others have such names below a prefix of their own.
  {
    library: "Sidekiq or Resque",
    names: /^(?:[\w-]+:)?queue:/,
    members: ["class", "args"],
    advice:
      "use Sidekiq::DeadSet and Sidekiq::RetrySet or the web page, or Resque::Failure.requeue; if the lists are your own, name them " +
      "with mutt-remediation watch",
  },
];

/** The library that a list of this name belongs to; `null`: none that is known. */
export function foreignByName(key: string): ForeignQueue | null {
  return FOREIGN_QUEUES.find(({ names }) => names?.test(key)) ?? null;
}

/** The library that writes messages with these top-level members; `null`: none that is known. */
export function foreignByMembers(names: ReadonlySet<string>): ForeignQueue | null {
  return FOREIGN_QUEUES.find(({ members }) => members.length > 0 && members.every((one) => names.has(one))) ?? null;
}
