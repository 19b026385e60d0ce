/** The contexts that operations run with. Commands and ports create them; operations do not depend on either. */
import type { SettingKey, Settings } from "../config/fields.ts";
import type { Loaded } from "../config/load.ts";
import type { ReceiverType } from "../config/notify.ts";
import type { VaultTarget } from "../config/vault.ts";
import type { SourcesFile } from "../config/sources.ts";
import type { GateBoard } from "../gates/board.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { HistoryReader } from "../history/reader.ts";
import type { Journal } from "../journal/journal.ts";
import type { SharedResults } from "../lifecycle/shared_results.ts";
import type { Teardown } from "../lifecycle/teardown.ts";
import type { JobStore } from "../jobs/job_store.ts";
import type { LiveSettings, MuttSharedSettings } from "../mutt/dynamic_keys.ts";
import type { VaultSecrets } from "../mutt/vault.ts";
import type { Log } from "../observability/log.ts";
import type { ReceiverMemory } from "../notify/delivery.ts";
import type { Incident } from "../notify/notice.ts";
import type { RecentLog } from "../observability/recent_log.ts";
import type { DrillStore } from "../redis/drill_store.ts";
import type { EditStore } from "../redis/edit_store.ts";
import type { ListReader } from "../redis/list_reader.ts";
import type { RedisConnections } from "../redis/connection.ts";
import type { SourceControl } from "../redis/source_control.ts";
import type { StagingStore } from "../redis/staging_store.ts";
import type { ReplayStore } from "../replay/store.ts";
import type { OldestMessage } from "../replay/depth_watch.ts";
import type { Leadership } from "../replay/leadership.ts";
import type { Replicas } from "../replay/replicas.ts";
import type { ReplayLoop } from "../replay/loop.ts";
import type { SourceReplay } from "../replay/source_replay.ts";
import type { Clock } from "../runtime/clock.ts";
import type { CountedGroups } from "./groups.ts";
import type { OperationRole } from "./operation.ts";
import type { SloReport } from "../slo/monitor.ts";

/** A source as operations see it. */
export interface OperatedSource {
  readonly setup: SourceDefinition;
  readonly store: ReplayStore;
  readonly board: GateBoard;
  readonly replay: SourceReplay;
  readonly leadership: Leadership;
  /** Pauses it, releases its brake, and asks for a cycle. */
  readonly control: SourceControl;
  /** How fast its messages may move, and do. Does no IO. */
  flow(): SourceFlow;
  /** Its samples of the last 24 hours. */
  readonly history: Pick<HistoryReader, "read">;
  /** Reads its lists for people. */
  readonly lists: ListReader;
  /** The last count of the groups of each of its lists, for all who look at it. */
  readonly groupCounts: SharedResults<CountedGroups>;
  /** Its jobs: plans, requests, results. */
  readonly jobs: JobStore;
  /** Its drill, and the reports of the last ones. */
  readonly drills: DrillStore;
  /** Replaces one of its messages. */
  readonly edits: EditStore;
  /** Keeps the messages of an import until its job adds them. */
  readonly staging: StagingStore;
  /** The oldest message of its DLQ at the last measurement; `null` if the DLQ was empty. Does no IO. */
  oldest(): OldestMessage | null;
  /** Resolves when every gate that polls in the background has a first result. */
  whenKnown(): Promise<void>;
  /** Stops the gates' background work and releases the lease. Call it when no message moves any more. */
  stop(): Promise<void>;
}

/** How fast the messages of a source may move, and do. */
export interface SourceFlow {
  readonly intervalMs: number;
  /** Maximum messages of a cycle; 0: the whole DLQ. */
  readonly batchSize: number;
  /** Most messages per second that the pace allows; `null`: no limit. */
  readonly mostPerSecond: number | null;
  /** Messages per second that this instance has moved lately; `null`: none. */
  readonly movedPerSecond: number | null;
}

/** Clients for Redis and Moogsoft, created for one operation. */
export interface OperationCore {
  readonly live: LiveSettings;
  readonly connections: RedisConnections;
  readonly journal: Pick<Journal, "record">;
  /** The enabled sources. */
  readonly setups: readonly SourceDefinition[];
  /** Creates a source without starting it. The caller stops it. */
  createSource(setup: SourceDefinition): OperatedSource;
  /** Reads the dynamic configuration. Never rejects. */
  readDynamicConfig(): Promise<boolean>;
}

/** Options of a core. */
export interface CoreOptions {
  readonly settings: Settings;
  /** Vault as a source of secrets; default: not used. */
  readonly vault?: VaultSecrets;
  /** Name of this instance as a lease holder; default: the pod's name. */
  readonly instanceName?: string;
}

/** Context of every operation. */
export interface OperationContext {
  readonly log: Log;
  readonly clock: Clock;
  /** Abort to stop the operation. */
  readonly signal: AbortSignal;
}

/** Who runs an operation. */
export interface Actor {
  /** Name of the key or the user, for the journal. */
  readonly name: string;
  readonly role: OperationRole;
}

/** A person at the command line, who has the settings and so every right. */
export const CLI_ACTOR: Actor = { name: "cli", role: "admin" };

/** Context of an operation that runs in its own process. */
export interface CommandContext extends OperationContext {
  readonly settings: Settings;
  /** Warnings of the configuration. */
  readonly warnings: readonly string[];
  /** Path of the `.env` that was read; empty if none. */
  readonly dotEnvPath: string;
  readonly sourcesFile: SourcesFile;
  /** Creates the components and starts connecting in the background. Adds their cleanup to `teardown`. */
  readonly createCore: (options: CoreOptions, teardown: Teardown) => OperationCore;
  /** Fetches the health document of the service on this machine; `null` if none answers. Never rejects. */
  readonly askHealth: () => Promise<string | null>;
}

/** A source of the running service. */
export interface RunningSource {
  readonly parts:
    & Pick<
      OperatedSource,
      | "setup"
      | "board"
      | "replay"
      | "leadership"
      | "oldest"
      | "flow"
      | "history"
      | "lists"
      | "groupCounts"
      | "jobs"
      | "drills"
      | "edits"
      | "staging"
    >
    & { readonly control: Pick<SourceControl, keyof SourceControl> };
  readonly loop: Pick<ReplayLoop, "isStarted" | "isTurning" | "wake">;
}

/** Where settings come from. */
export type LoadedFrom = Pick<Extract<Loaded, { ok: true }>, "origins" | "dotEnvPath" | "warnings">;

/** The settings of the running service. */
export interface SettingsInForce extends LoadedFrom {
  readonly settings: Settings;
  /** Those that have their value from a dynamic key, and those that Vault gives. */
  readonly overridden: ReadonlySet<SettingKey>;
  readonly fromVault: readonly VaultTarget[];
  /** What MUTT's services share through Redis. */
  readonly shared: MuttSharedSettings;
  readonly sourcesFile: SourcesFile;
}

/** Incidents, and who is notified of them. */
export interface Notifications {
  /** Rejects with a `StoreError`. */
  read(): Promise<{
    /** Name of the instance that watches; empty: none does. */
    readonly holder: string;
    /** Open incidents, and those that ended lately. */
    readonly incidents: readonly Incident[];
    readonly receivers: readonly NotifiedReceiver[];
  }>;
  /** Names of the receivers. */
  receivers(): Promise<readonly string[]>;
  /** Sends a test notice in the name of an operator. Returns why it was not taken; `null`: it was. Never rejects. */
  test(receiver: string, by: string): Promise<string | null>;
}

/** A receiver, and what it was told. */
export interface NotifiedReceiver {
  readonly name: string;
  readonly type: ReceiverType;
  readonly memory: ReceiverMemory;
  /** Notices that wait. */
  readonly waiting: number;
}

/** Context of an operation that runs in the service. */
export interface ServiceContext extends OperationContext {
  readonly version: string;
  readonly podName: string;
  /** The current settings. */
  readonly live: {
    current(): Pick<Settings, "enabled" | "moogHealthCheckEnabled" | "moogWebhookUrl" | "maxMessageBytes">;
  };
  readonly inForce: () => SettingsInForce;
  readonly replicas: Pick<Replicas, "list">;
  readonly connections: Pick<RedisConnections, "isReady" | "lastErrorCode">;
  /** The running sources. */
  readonly sources: () => readonly RunningSource[];
  /** Result of the last Vault request; default: Vault is not used. */
  readonly vault?: Pick<VaultSecrets, "state">;
  readonly recentLog: Pick<RecentLog, "read">;
  readonly slos: { report(): SloReport };
  readonly journal: Pick<Journal, "record" | "query" | "follow" | "verify">;
  readonly notifications: Notifications;
}

/** Context of an operation that runs in the service for an actor. */
export interface OperatorContext extends ServiceContext {
  readonly actor: Actor;
  /** Of the request, for the journal; `null`: it came without one. */
  readonly correlationId: string | null;
}

/** Context of an operation that looks at messages for an actor. */
export interface LookContext extends Pick<OperatorContext, "clock" | "signal" | "actor" | "correlationId"> {
  readonly sources: () => readonly {
    readonly parts: Pick<OperatedSource, "setup" | "lists" | "groupCounts"> & {
      readonly board: Pick<GateBoard, "last">;
      readonly replay: Pick<SourceReplay, "judge" | "lastSnapshot">;
    };
  }[];
  readonly journal: Pick<Journal, "record">;
}
