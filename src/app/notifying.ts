/** Builds the notifier, and what operators see of it. Loaded once Redis is ready, so that it does not delay the start. */
import {
  INCIDENT_KINDS,
  isAtLeast,
  type NotifyFile,
  type ReceiverDefinition,
  type Severity,
} from "../config/notify.ts";
import { Span } from "../config/span.ts";
import { formatEntry, type NewEntry } from "../journal/entries.ts";
import { countWaiting, createMemory } from "../notify/delivery.ts";
import {
  fieldOf,
  type NoticeStore as NoticePort,
  Notifier,
  type NotifyPlan,
  type PlannedReceiver,
  TRACKING_FIELD,
} from "../notify/notifier.ts";
import type { Incident, Notice } from "../notify/notice.ts";
import { ReceiverError } from "../notify/receiver.ts";
import { createReceiver } from "../notify/receivers/create.ts";
import type { ReceiverDeps } from "../notify/receivers/deps.ts";
import { parseReceiver, parseTracking } from "../notify/saved.ts";
import { toIncident } from "../notify/tracker.ts";
import { composeNotice } from "../notify/wording.ts";
import type { Log } from "../observability/log.ts";
import type { Notifications } from "../operations/context.ts";
import { findDeadSample } from "../operations/dead_sample.ts";
import { StoreError } from "../redis/errors.ts";
import { NoticeStore } from "../redis/notice_store.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { readTextFile } from "../runtime/process.ts";
import { createId, type RandomFraction } from "../runtime/random.ts";
import { OutageLog } from "../lifecycle/outage_log.ts";
import type { Core } from "./core.ts";
import { createObserver } from "./observer.ts";
import type { RunningSources } from "./running_sources.ts";

/** Dependencies of {@link createNotifying}. */
export interface NotifyingOptions {
  /** The notify file in force. */
  readonly file: NotifyFile;
  readonly core: Core;
  readonly sources: RunningSources;
  readonly clock: Clock;
  readonly random: RandomFraction;
  readonly log: Log;
  /** Aborts when the service stops. */
  readonly signal: AbortSignal;
  readonly onBug: (error: unknown) => void;
}

/** The notifier of this instance. */
export interface Notifying extends Notifications {
  /** Begins to watch and to tell. */
  start(): void;
  /** Replaces the notify file in force. */
  replace(file: NotifyFile): Promise<void>;
  stop(): Promise<void>;
}

/** Creates the notifier. Nothing runs until it is started. */
export function createNotifying(options: NotifyingOptions): Notifying {
  const { core, sources, clock, random, onBug } = options, log = options.log.child("notify");
  const { connections, metrics, instance, journal } = core;
  const store = new NoticeStore(connections.committer, instance);
  const observe = createObserver({
    ...{ journal, clock, sources: () => sources.list() },
    instances: async () => {
      const running = await core.replicas.list();
      // Without this one the list is not kept, for example because the user may not write it.
      return running.some(({ isThis }) => isThis) ? running.map(({ name }) => name) : null;
    },
  });
  const ask = createAsk({ clock, log });
  const receiverDeps: ReceiverDeps = { clock, log, chooseProxy: core.chooseProxy, readFile: readTextFile };
  let { file } = options;
  const planNow = () => createPlan(file, receiverDeps);
  const notifier = new Notifier(planNow(), {
    ...{ clock, random, log, onBug },
    observe: (cursor, memory) => ask(observe(cursor, memory)),
    store: createPort(store, { clock, log, instance: instance.name }),
    isReady: () => connections.isReady(),
    readSample: async (name, reason) => {
      const source = sources.list().find(({ parts }) => parts.setup.policy.name === name);
      return source ? await orNull(findDeadSample(source.parts, { reason, nowMs: clock.nowMs() })) : null;
    },
    note: core.note,
    onResult: (receiver, result) => metrics.notices.inc({ receiver, result }),
  });
  const namesOf = ({ receivers }: NotifyFile) => receivers.map(({ name }) => name);
  metrics.setReceivers(namesOf(file), []);
  metrics.showNotifier({
    openIncidents: () => countKinds(notifier.open()),
    waitingNotices: () => Object.fromEntries(notifier.outboxes.map((outbox) => [outbox.name, outbox.waiting()])),
  });
  return {
    start: () => notifier.start(),
    replace: async (next) => {
      metrics.setReceivers(namesOf(next), namesOf(file));
      file = next;
      await notifier.replace(planNow());
    },
    stop: () => notifier.stop(),
    receivers: () => Promise.resolve(namesOf(file)),
    read: async () => {
      const { holder, fields } = await store.read([TRACKING_FIELD, ...namesOf(file).map(fieldOf)]);
      const incidents = parseTracking(fields[TRACKING_FIELD] ?? "")?.tracking.incidents ?? [];
      const nowMs = clock.nowMs();
      return {
        ...{ holder, incidents },
        receivers: file.receivers.map(({ name, type, updateSeconds }) => {
          const memory = parseReceiver(fields[fieldOf(name)] ?? "") ?? createMemory(incidents, nowMs);
          const options = {
            receiver: name,
            routes: file.routes,
            updateMs: updateSeconds * 1_000,
            repeatMs: null,
            nowMs,
          };
          return { name, type, memory, waiting: countWaiting(memory, incidents, options) };
        }),
      };
    },
    test: async (name, by) => {
      const definition = file.receivers.find((one) => one.name === name);
      if (!definition) return "the notify file does not name it any more";
      const receiver = createReceiver(definition, receiverDeps);
      try {
        await receiver.send(createTestNotice({ by, nowMs: clock.nowMs(), file, definition }), options.signal);
        return null;
      } catch (error) {
        if (error instanceof ReceiverError) return `${error.code}: ${error.message}`;
        throw error;
      } finally {
        receiver.close();
      }
    },
  };
}

function createPlan(file: NotifyFile, deps: ReceiverDeps): NotifyPlan {
  return {
    ...{ rules: file.incidents, routes: file.routes, updateMs: file.updateSeconds * 1_000 },
    receivers: file.receivers.map((definition) => planReceiver(definition, { file, deps })),
  };
}

function planReceiver(
  definition: ReceiverDefinition,
  { file, deps }: { file: NotifyFile; deps: ReceiverDeps },
): PlannedReceiver {
  const quiet = definition.quietHours.map(({ except, ...span }) => ({ except, span: new Span(span) }));
  const isHeld = (severity: Severity, except: Severity | "none") => except === "none" || !isAtLeast(severity, except);
  return {
    receiver: createReceiver(definition, deps),
    updateMs: definition.updateSeconds * 1_000,
    isQuiet: (severity, nowMs) => quiet.some(({ except, span }) => isHeld(severity, except) && span.at(nowMs).isInside),
    compose: ({ event, incident }, id, atMs) =>
      composeNotice({ event, incident: toIncident(incident), id, atMs }, { file, definition }),
  };
}

/** Awaits an answer of Redis; `null`: it failed. Rejects only for a bug. */
type Ask = <Value>(answer: Promise<Value>) => Promise<Value | null>;

/**
 * Returns what asks and logs its outages. Each kind of call needs its own: if one goes on to fail beside another that works, a shared one
 * would log an end and a begin at every look (tests/integration/notify_port_test.ts).
 */
function createAsk({ clock, log }: { clock: Clock; log: Log }): Ask {
  const outages = new OutageLog({ clock, log });
  return async (answer) => {
    try {
      const value = await answer;
      outages.up(({ lasted }) => ({
        event: "notices_written",
        message: `Remediation: incidents are watched for again after ${lasted}`,
      }));
      return value;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // The connections log their own losses.
      if (error.code !== "CONNECTION") {
        outages.down(error.code, {
          event: "notices_unwritable",
          message: `Remediation: cannot watch for incidents (${error.code}); retrying`,
          fields: { code: error.code, reason: error.message },
        });
      }
      return null;
    }
  };
}

/** The notices' store as the notifier sees it: a failure of Redis is an answer. */
export function createPort(
  store: NoticeStore,
  { instance, ...logging }: { clock: Clock; log: Log; instance: string },
): NoticePort {
  const lease = createAsk(logging),
    entry = createAsk(logging),
    reading = createAsk(logging),
    saving = createAsk(logging);
  const format = (entry: NewEntry) => formatEntry(entry, { at: toIso(logging.clock.nowMs()), instance });
  return {
    take: (durationMs) => lease(store.take(durationMs)),
    release: async () => void await lease(store.release()),
    enter: () => entry(store.enter()),
    read: async (fields) => (await reading(store.read(fields)))?.fields ?? null,
    save: (fields, entries) => saving(store.save(fields, entries.map(format))),
  };
}

function createTestNotice(
  { by, nowMs, file, definition }: {
    by: string;
    nowMs: number;
    file: NotifyFile;
    definition: ReceiverDefinition;
  },
): Notice {
  const id = createId().slice(0, 8);
  const incident: Incident = {
    ...{ id: `i_${id}`, kind: "job_finished", cause: "test", severity: "info", sources: [], groups: [] },
    ...{
      beganMs: nowMs,
      endedMs: nowMs,
      detail: `${by} has sent this notice to see whether it arrives. Nothing is wrong.`,
    },
  };
  return composeNotice({ event: "test", incident, id: `n_${id}_1`, atMs: nowMs }, { file, definition });
}

/** The number of open incidents of each kind; none if another instance watches. */
function countKinds(open: readonly Incident[] | null): Record<string, number> {
  if (open === null) return {};
  return Object.fromEntries(INCIDENT_KINDS.map((kind) => [kind, open.filter((one) => one.kind === kind).length]));
}

async function orNull<Value>(answer: Promise<Value>): Promise<Value | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof StoreError) return null;
    throw error;
  }
}
