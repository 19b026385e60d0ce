/** What one source needs of Redis: a connection of its own, its store, and the trial of a move. */
import type { RedisErrorCode } from "./errors.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Clock } from "../runtime/clock.ts";
import { BudgetedStore } from "./budgeted_store.ts";
import type { RedisConnections } from "./connection.ts";
import type { DeadLetterStore } from "./dead_letter_store.ts";
import { MoveTrial } from "./move_trial.ts";
import type { ReadBudget } from "./read_budget.ts";

/** The connections as one source sees them. Does no IO. */
export interface SourceLink {
  /** Whether every connection that the source needs can take commands. */
  isReady(): boolean;
  lastErrorCode(): RedisErrorCode | "";
  lastFailure(): string;
}

/** One source's share of Redis. */
export interface SourceStore {
  readonly store: DeadLetterStore;
  readonly link: SourceLink;
  readonly trial: MoveTrial;
  /** Closes its connection and gives its share of the read budget back. Call it when nothing moves any more. */
  release(): void;
}

/** Opens the source's own connection, which connects in the background. `token` is the lease's; empty: there is no election. */
export function createSourceStore(
  policy: SourcePolicy,
  { connections, readBudget, token, clock, onRedisError }: {
    connections: RedisConnections;
    readBudget: ReadBudget;
    token: string;
    clock: Clock;
    onRedisError: (error: unknown) => void;
  },
): SourceStore {
  const { reader, committer } = connections;
  const mover = connections.openNeeded(`mover:${policy.name}`, policy.dlq);
  const store = new BudgetedStore(readBudget, { reader, committer, mover }, policy, { token });
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
    }),
    release: () => {
      store.letGo();
      connections.release(mover);
    },
  };
}
