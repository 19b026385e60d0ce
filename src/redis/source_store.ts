/** Creates the Redis parts of one source: its own connection, its store, and its move trial. */
import type { RedisErrorCode } from "./errors.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Clock } from "../runtime/clock.ts";
import { BudgetedStore } from "./budgeted_store.ts";
import type { RedisConnections } from "./connection.ts";
import type { DeadLetterStore } from "./dead_letter_store.ts";
import { MoveTrial } from "./move_trial.ts";
import type { ReadBudget } from "./read_budget.ts";

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
