/** Creates the Redis parts of one source: its own connection, its store, and its move trial. */
import type { RedisErrorCode } from "./errors.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Clock } from "../runtime/clock.ts";
import { BudgetedStore } from "./budgeted_store.ts";
import type { RedisConnections } from "./connection.ts";
import type { RunningJob } from "../cycle/running_job.ts";
import type { DeadLetterStore } from "./dead_letter_store.ts";
import { jobListKey } from "./keys.ts";
import { MoveTrial } from "./move_trial.ts";
import { createNewestReader, type ReadNewest } from "./newest_reader.ts";
import { createRecordReader } from "./record_reader.ts";
import type { ReadBudget } from "./read_budget.ts";
import { SweepStore } from "./sweep_store.ts";

/** Status of the connections that one source uses. Does no IO. */
export interface SourceLink {
  /** Returns whether every connection that the source needs can take commands. */
  isReady(): boolean;
  lastErrorCode(): RedisErrorCode | "";
  lastFailure(): string;
}

/** The Redis parts of one source. */
export interface SourceStore {
  readonly store: DeadLetterStore;
  readonly link: SourceLink;
  readonly trial: MoveTrial;
  /** Closes the source's connection and releases its share of the read budget. Call it after the last move. */
  release(): void;
}

/** Opens the source's own connection in the background. `token` is the leader's lease token; empty: leader election is off. `instance` is this process in the journal. */
export function createSourceStore(
  policy: SourcePolicy,
  { connections, readBudget, token, instance, clock, onRedisError, onUnjournalled }: {
    connections: RedisConnections;
    readBudget: ReadBudget;
    token: string;
    instance: string;
    clock: Clock;
    onRedisError: (error: unknown) => void;
    onUnjournalled: () => void;
  },
): SourceStore {
  const { reader, committer } = connections;
  const mover = connections.openNeeded(`mover:${policy.name}`, policy.dlq);
  const store = new BudgetedStore(readBudget, { reader, committer, mover }, policy, { token, instance });
  return {
    store,
    link: {
      isReady: () => connections.isReady(mover),
      lastErrorCode: () => connections.lastErrorCode(),
      lastFailure: () => connections.lastFailure(),
    },
    trial: new MoveTrial(policy, {
      redis: committer,
      clock,
      refusals: () => connections.refusals(),
      onRedisError,
      onUnjournalled,
    }),
    release: () => {
      store.letGo();
      connections.release(mover);
    },
  };
}

/** The Redis parts of one job. */
export interface JobStores {
  readonly sweep: SweepStore;
  /** Drains the job's own list. */
  readonly drain: BudgetedStore;
  /** Reads the newest messages of the DLQ itself, where returns arrive. Their depth includes the job's own list. */
  readonly readArrivals: ReadNewest;
  /** Returns whether the job's connection can take commands. Does no IO. */
  isReady(): boolean;
  /** Closes the job's connection. Call it after the last move. */
  release(): void;
}

/** Opens the job's own connection in the background. `trashOf`: id of the job whose trash it brings back; `null`: none. */
export function openJobStores(
  policy: SourcePolicy,
  job: Pick<RunningJob, "id" | "verb" | "list">,
  { connections, readBudget, token, instance, trashOf }: {
    connections: RedisConnections;
    readBudget: ReadBudget;
    token: string;
    instance: string;
    trashOf: string | null;
  },
): JobStores {
  const { reader, committer } = connections;
  const mover = connections.open(`job:${policy.name}`, policy.dlq);
  const drain = new BudgetedStore(readBudget, { reader, committer, mover }, policy, { token, instance, job: job.id });
  return {
    drain,
    sweep: new SweepStore({ committer, mover }, policy, job, { token, trashOf }),
    readArrivals: createNewestReader(reader, {
      ...{ lists: [policy.dlq, jobListKey(policy.dlq, job.id)], push: policy.push },
      records: createRecordReader(reader, policy),
    }),
    isReady: () => connections.isReady(mover),
    release: () => {
      drain.letGo();
      connections.release(mover);
    },
  };
}
