/** What a changed sources file or notify file means for the running service. */
import type { NotifyFile } from "../config/notify.ts";
import type { SourcesFile } from "../config/sources.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { FileChange } from "./file_reloader.ts";
import type { SourceChange } from "./running_sources.ts";

/** What a changed sources file acts on. */
export interface SourcesTarget {
  createSources(file: SourcesFile): readonly SourceDefinition[];
  /** Finds problems in Redis that forbid these sources. Rejects with the client's errors. */
  inspect(setups: readonly SourceDefinition[]): Promise<readonly string[]>;
  readonly sources: {
    compare(setups: readonly SourceDefinition[]): SourceChange;
    apply(setups: readonly SourceDefinition[]): Promise<void>;
  };
  /** Called with a file whose sources run now. */
  readonly onApplied: (file: SourcesFile) => void;
}

/** Compares a sources file with the running sources. `null`: they are the same. */
export function compareSources(file: SourcesFile, target: SourcesTarget): FileChange | null {
  const { createSources, inspect, sources, onApplied } = target;
  const setups = createSources(file), change = sources.compare(setups);
  const changed = Object.entries(change).filter(([, names]) => names.length > 0);
  if (changed.length === 0) return null;
  return {
    detail: changed.map(([what, names]) => `${what}: ${names.join(", ")}`).join("; "),
    fields: { ...change },
    async apply(signal) {
      let problems: readonly string[];
      try {
        problems = await inspect(setups);
      } catch (error) {
        // The connections log their own outages.
        return { kind: "waiting", why: `cannot inspect Redis (${redisErrorCode(error)})` };
      }
      if (signal.aborted) return { kind: "waiting", why: "the service stops" };
      if (problems.length > 0) return { kind: "refused", problems };
      await sources.apply(setups);
      onApplied(file);
      return { kind: "applied" };
    },
  };
}

/** Compares a notify file with the one in force. `null`: they say the same. */
export function compareNotify(
  file: NotifyFile,
  { current, apply }: { current: NotifyFile; apply: (file: NotifyFile) => Promise<void> },
): FileChange | null {
  if (JSON.stringify(file) === JSON.stringify(current)) return null;
  const count = file.receivers.length;
  return {
    detail: `${count} ${count === 1 ? "receiver" : "receivers"}`,
    async apply() {
      await apply(file);
      return { kind: "applied" };
    },
  };
}
