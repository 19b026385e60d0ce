/** A store that forwards every call to another; a test can replace calls. */
import type { ReplayStore } from "../src/replay/store.ts";

/** A call of the store, and after its arguments the store behind it. */
type Hook<Name extends keyof ReplayStore> = (
  ...given: [...Parameters<ReplayStore[Name]>, store: ReplayStore]
) => ReturnType<ReplayStore[Name]>;

/** Replaced calls; each gets the store behind it. */
export interface StoreHooks {
  begin?: Hook<"begin">;
  commitAndRead?: Hook<"commitAndRead">;
}

/** Wraps a store. `hooks` may change at any time. */
export class WrappedStore implements ReplayStore {
  readonly #store: ReplayStore;
  readonly hooks: StoreHooks;

  constructor(store: ReplayStore, hooks: StoreHooks = {}) {
    this.#store = store;
    this.hooks = hooks;
  }

  readState: ReplayStore["readState"] = () => this.#store.readState();

  browseOldest: ReplayStore["browseOldest"] = (bounds) => this.#store.browseOldest(bounds);

  browseNewest: ReplayStore["browseNewest"] = (...given) => this.#store.browseNewest(...given);

  browseTarget: ReplayStore["browseTarget"] = (...given) => this.#store.browseTarget(...given);

  readForCommit: ReplayStore["readForCommit"] = (bounds) => this.#store.readForCommit(bounds);

  begin: ReplayStore["begin"] = (beginning) =>
    this.hooks.begin?.(beginning, this.#store) ?? this.#store.begin(beginning);

  commitAndRead: ReplayStore["commitAndRead"] = (commit, bounds) =>
    this.hooks.commitAndRead?.(commit, bounds, this.#store) ?? this.#store.commitAndRead(commit, bounds);

  resolveLostCommit: ReplayStore["resolveLostCommit"] = (id) => this.#store.resolveLostCommit(id);
}
