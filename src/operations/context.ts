/** What an operation is handed. Who renders operations (commands, ports) builds it; operations know nothing of them. */
import type { Settings } from "../config/fields.ts";
import type { SourcesFile } from "../config/sources_file.ts";
import type { GateBoard } from "../gates/board.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { Teardown } from "../lifecycle/teardown.ts";
import type { LiveSettings } from "../mutt/dynamic_keys.ts";
import type { VaultSecrets } from "../mutt/vault.ts";
import type { Log } from "../observability/log.ts";
import type { RedisConnections } from "../redis/connection.ts";
import type { ReplayStore } from "../replay/store.ts";
import type { OldestMessage } from "../replay/depth_watch.ts";
import type { Leadership } from "../replay/leadership.ts";
import type { ReplayLoop } from "../replay/loop.ts";
import type { SourceReplay } from "../replay/source_replay.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SloReport } from "../slo/monitor.ts";

/** One source, as operations use it. */
export interface OperatedSource {
  readonly setup: SourceDefinition;
  readonly store: ReplayStore;
  readonly board: GateBoard;
  readonly replay: SourceReplay;
  readonly leadership: Leadership;
  /** The oldest message of its DLQ as it was last seen; `null` where there is none. Does no IO. */
  oldest(): OldestMessage | null;
  /** Resolves once the gates that look in the background have looked. */
  whenKnown(): Promise<void>;
  /** Ends what the gates do in the background, and gives the lease back: call it when nothing moves any more. */
  stop(): Promise<void>;
}

/** What talks to Redis and Moogsoft, built for one operation. */
export interface OperationCore {
  readonly live: LiveSettings;
  readonly connections: RedisConnections;
  /** The sources that are switched on. */
  readonly setups: readonly SourceDefinition[];
  /** Builds a source; nothing runs yet. Who builds it stops it. */
  createSource(setup: SourceDefinition): OperatedSource;
  /** Reads the dynamic configuration. Never rejects. */
  readDynamicConfig(): Promise<boolean>;
}

/** What a core is built with. */
export interface CoreOptions {
  readonly settings: Settings;
  /** Where secrets of the settings come from; default: nowhere else. */
  readonly vault?: VaultSecrets;
  /** What the holder of a lease is called; default: the pod's name. */
  readonly instanceName?: string;
}

/** What every operation is handed. */
export interface OperationContext {
  readonly log: Log;
  readonly clock: Clock;
  /** Aborted: come to an end. */
  readonly signal: AbortSignal;
}

/** For an operation that runs in a process of its own, beside the service or without one. */
export interface CommandContext extends OperationContext {
  readonly settings: Settings;
  /** Warnings of the configuration. */
  readonly warnings: readonly string[];
  /** The `.env` that was read; empty: none. */
  readonly dotEnvPath: string;
  readonly sourcesFile: SourcesFile;
  /** Builds the parts; connecting begins in the background. What must be undone is added to `teardown`. */
  readonly createCore: (options: CoreOptions, teardown: Teardown) => OperationCore;
  /** What the service that runs on this machine says of its health; `null`: none answers. Never rejects. */
  readonly askHealth: () => Promise<string | null>;
}

/** One source of the running service. */
export interface RunningSource {
  readonly parts: Pick<OperatedSource, "setup" | "board" | "replay" | "leadership" | "oldest">;
  readonly loop: Pick<ReplayLoop, "isStarted" | "isTurning">;
}

/** For an operation that the running service carries out on itself. */
export interface ServiceContext extends OperationContext {
  readonly version: string;
  readonly podName: string;
  /** The settings that it shows, as they are now. */
  readonly live: { current(): Pick<Settings, "enabled" | "moogHealthCheckEnabled" | "moogWebhookUrl"> };
  readonly connections: Pick<RedisConnections, "isReady" | "lastErrorCode">;
  /** The sources that run now. */
  readonly sources: () => readonly RunningSource[];
  /** How the last look at Vault went; default: it is not asked. */
  readonly vault?: Pick<VaultSecrets, "state">;
  readonly slos: { report(): SloReport };
}
