/** Reloads a configuration file on SIGHUP and every few seconds. An invalid file changes nothing. */
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { Log, LogFields } from "../observability/log.ts";
import type { ReloadResult } from "../observability/metrics.ts";
import type { Clock } from "../runtime/clock.ts";

/** Poll interval, in milliseconds. */
const POLL_MS = 5_000;

/** A file as it was read. */
export type LoadedFile<File> =
  | { readonly ok: true; readonly file: File; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** What a file would change. */
export interface FileChange {
  /** In words, such as `added: orders`. */
  readonly detail: string;
  /** Fields of the log line. */
  readonly fields?: LogFields;
  /** Makes the change, unless something forbids it or the signal aborts. Rejects only for a bug. */
  apply(signal: AbortSignal): Promise<ChangeResult>;
}

/** `waiting`: it cannot be decided now; `why` completes "is not applied yet". */
export type ChangeResult =
  | { readonly kind: "applied" }
  | { readonly kind: "refused"; readonly problems: readonly string[] }
  | { readonly kind: "waiting"; readonly why: string };

/** Dependencies of {@link FileReloader}. */
export interface FileReloaderDeps<File> {
  /** Which file. */
  readonly name: keyof typeof EVENTS;
  /** Reads and parses the file. Does not throw. */
  load(): Promise<LoadedFile<File>>;
  /** Compares it with what is in force; `null`: nothing would change. */
  compare(file: File): FileChange | null;
  /** Called with each outcome. `detail`: what changed or what is wrong, in words. */
  readonly onReload: (result: ReloadResult, detail: string) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with any error of a reload, which is a bug. */
  readonly onBug: (error: unknown) => void;
}

/** The events of each file in the log. */
const EVENTS = {
  sources: {
    ...{ applied: "sources_applied", waiting: "sources_waiting" },
    ...{ unchanged: "sources_unchanged", rejected: "sources_rejected" },
  },
  notify: {
    ...{ applied: "notify_applied", waiting: "notify_waiting" },
    ...{ unchanged: "notify_unchanged", rejected: "notify_rejected" },
  },
} as const;

/** Compares the file's content, so that it detects a replaced file, a changed link and a restored timestamp. */
export class FileReloader<File> extends PeriodicTask {
  readonly #deps: FileReloaderDeps<File>;
  #isAsked = false;
  /** Problems of the last rejected file, so that they are logged once; empty: it was not rejected. */
  #refused = "";

  constructor(deps: FileReloaderDeps<File>) {
    super({ clock: deps.clock, onBug: deps.onBug });
    this.#deps = deps;
  }

  /** Reloads the file now and always logs the outcome. */
  ask(): void {
    this.#isAsked = true;
    this.wake();
  }

  protected async run(): Promise<void> {
    const { name, load, compare, log, onReload } = this.#deps, isAsked = this.#isAsked;
    this.#isAsked = false;
    const loaded = await load();
    if (!loaded.ok) return this.#refuse(loaded.problems, { isAsked });
    const change = compare(loaded.file);
    if (change === null) return this.#keep({ isAsked });
    const result = await change.apply(this.stopping);
    if (result.kind === "refused") return this.#refuse(result.problems, { isAsked });
    if (result.kind === "waiting") {
      // The next poll finds the same change.
      const message = `Remediation: the changed ${name} file is not applied yet: ${result.why}`;
      if (isAsked) log.warning(EVENTS[name].waiting, message);
      return;
    }
    this.#refused = "";
    for (const warning of loaded.warnings) log.warning("config_warning", warning);
    log.info(EVENTS[name].applied, `Remediation: the ${name} file has changed: ${change.detail}`, change.fields);
    onReload("applied", change.detail);
  }

  protected intervalMs(): number {
    return POLL_MS;
  }

  /** If a rejected file has been put back as it was, reports it as applied, so that those who were notified hear that the rejection is over. */
  #keep({ isAsked }: { isAsked: boolean }): void {
    const { name, log, onReload } = this.#deps, wasRefused = this.#refused !== "";
    this.#refused = "";
    if (isAsked || wasRefused) log.info(EVENTS[name].unchanged, `Remediation: the ${name} file has not changed`);
    if (wasRefused) onReload("applied", "the file is as before");
  }

  #refuse(problems: readonly string[], { isAsked }: { isAsked: boolean }): void {
    const refused = problems.join("\n"), { name, log, onReload } = this.#deps;
    if (refused === this.#refused && !isAsked) return;
    this.#refused = refused;
    const message = `Remediation: ${name} file rejected, what is in force stays: ${problems.join("; ")}`;
    log.warning(EVENTS[name].rejected, message, { problems });
    onReload("rejected", problems.join("; "));
  }
}
