/**
 * Decides what a receiver is sent next. It goes by the state of the incidents, not by their history: a receiver that was away for an hour, or had quiet
 * hours, gets one notice an incident. Pure.
 */
import { isAtLeast, type Route, type Severity } from "../config/notify.ts";
import type { NoticeEvent } from "./notice.ts";
import { isMoment, type TrackedIncident } from "./tracker.ts";

/** What a receiver was last sent of an incident. */
export interface Told {
  readonly event: Exclude<NoticeEvent, "test">;
  readonly revision: number;
  /** By the clock of the instance that sent it, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Notices about this incident so far, without repeats. */
  readonly notices: number;
}

/** A notice that could not be sent. */
export interface Failing {
  readonly incident: string;
  readonly sinceMs: number;
  readonly tries: number;
  /** When it is tried again. */
  readonly nextMs: number;
  readonly code: string;
  /** One sentence, without secrets. */
  readonly problem: string;
}

/** What is known of a receiver. Plain data. */
export interface ReceiverMemory {
  /** By the id of the incident. */
  readonly told: Readonly<Record<string, Told>>;
  /** Notices sent, and given up, since the receiver is known. */
  readonly sent: number;
  readonly dropped: number;
  readonly lastSentMs: number | null;
  /** `null`: the last notice was sent. */
  readonly failing: Failing | null;
}

/** A notice to send. */
export interface Due {
  readonly event: Told["event"];
  readonly incident: TrackedIncident;
  /** Says the same as the last one, for receivers that forget. */
  readonly isRepeat: boolean;
}

/** What decides beside the incidents. */
export interface DeliveryOptions {
  /** Name of the receiver. */
  readonly receiver: string;
  readonly routes: readonly Route[];
  readonly updateMs: number;
  /** The receiver wants an open incident again after this time, in milliseconds; `null`: once is enough. */
  readonly repeatMs: number | null;
  /** Whether notices of this severity are held now. */
  readonly isQuiet: (severity: Severity) => boolean;
  readonly nowMs: number;
}

/** Returns the memory of a receiver that is new: of what was over before, it is sent nothing. */
export function createMemory(incidents: readonly TrackedIncident[], nowMs: number): ReceiverMemory {
  const over = incidents.filter(({ endedMs }) => endedMs !== null);
  const told = over.map(({ id, revision }) => [id, { event: "ended", revision, atMs: nowMs, notices: 0 }] as const);
  return { told: Object.fromEntries(told), sent: 0, dropped: 0, lastSentMs: null, failing: null };
}

/**
 * Returns the notice to send next, oldest incident first; `null` if nothing is due. Quiet hours do not hold repeats: they tell nobody
 * anything, and without them the receiver would take the incident for ended.
 */
export function nextNotice(
  memory: ReceiverMemory,
  incidents: readonly TrackedIncident[],
  options: DeliveryOptions,
): Due | null {
  const wanted = incidents.filter((incident) => isWanted(incident, options));
  for (const incident of wanted.toSorted((a, b) => a.beganMs - b.beganMs)) {
    const told = memory.told[incident.id], due = dueOf(incident, told, options);
    if (due && (due.isRepeat || !options.isQuiet(incident.severity))) return due;
    const repeat = due && told && repeatOf(incident, told, options);
    if (repeat) return repeat;
  }
  return null;
}

/** Counts the notices that wait, held ones too. */
export function countWaiting(
  memory: ReceiverMemory,
  incidents: readonly TrackedIncident[],
  options: Omit<DeliveryOptions, "isQuiet">,
): number {
  return incidents.filter((incident) => {
    const due = isWanted(incident, options) ? dueOf(incident, memory.told[incident.id], options) : null;
    return due !== null && !due.isRepeat;
  }).length;
}

/** Returns the memory after a notice was sent, or (`isDropped`) given up. Incidents that are not kept any more are forgotten. */
export function noteTold(
  memory: ReceiverMemory,
  { event, incident, isRepeat }: Due,
  { nowMs, isDropped = false, kept }: { nowMs: number; isDropped?: boolean; kept: readonly TrackedIncident[] },
): ReceiverMemory {
  const notices = (memory.told[incident.id]?.notices ?? 0) + (isRepeat ? 0 : 1);
  const ids = new Set([...kept.map(({ id }) => id), incident.id]);
  const told = Object.entries({
    ...memory.told,
    [incident.id]: { event, revision: incident.revision, atMs: nowMs, notices },
  }).filter(([id]) => ids.has(id));
  const one = isRepeat ? 0 : 1;
  return {
    ...{ told: Object.fromEntries(told), failing: null },
    ...isDropped
      ? { sent: memory.sent, dropped: memory.dropped + one, lastSentMs: memory.lastSentMs }
      : { sent: memory.sent + one, dropped: memory.dropped, lastSentMs: nowMs },
  };
}

/** Returns what was sent by any of two accounts of one receiver: the later word on each incident. */
export function mergeMemories(saved: ReceiverMemory, own: ReceiverMemory): ReceiverMemory {
  const told: Record<string, Told> = { ...saved.told };
  for (const [id, one] of Object.entries(own.told)) {
    if (!told[id] || told[id].atMs < one.atMs) told[id] = one;
  }
  return {
    ...{ told, sent: Math.max(saved.sent, own.sent), dropped: Math.max(saved.dropped, own.dropped) },
    ...{ lastSentMs: Math.max(saved.lastSentMs ?? 0, own.lastSentMs ?? 0) || null, failing: saved.failing },
  };
}

/** Id of a notice: the same if it is sent again. */
export function noticeId(memory: ReceiverMemory, { incident: { id }, isRepeat }: Due): string {
  return `n_${id.replace(/^i_/, "")}_${(memory.told[id]?.notices ?? 0) + (isRepeat ? 0 : 1)}`;
}

function dueOf(
  incident: TrackedIncident,
  told: Told | undefined,
  { updateMs, repeatMs, nowMs }: Pick<DeliveryOptions, "updateMs" | "repeatMs" | "nowMs">,
): Due | null {
  const { endedMs, revision } = incident;
  const due = (event: Due["event"]): Due => ({ event, incident, isRepeat: false });
  if (!told) return due(endedMs === null ? "began" : isMoment(incident) ? "happened" : "ended");
  if (told.event === "ended" || told.event === "happened") return null;
  if (endedMs !== null) return due("ended");
  if (revision > told.revision && nowMs - told.atMs >= updateMs) return due("updated");
  return repeatOf(incident, told, { repeatMs, nowMs });
}

/** The last notice again, if the receiver forgets an incident that goes on; `null`: not now. */
function repeatOf(
  incident: TrackedIncident,
  { event, atMs }: Told,
  { repeatMs, nowMs }: Pick<DeliveryOptions, "repeatMs" | "nowMs">,
): Due | null {
  const isDue = repeatMs !== null && incident.endedMs === null && nowMs - atMs >= repeatMs;
  return isDue ? { event, incident, isRepeat: true } : null;
}

function isWanted(
  { kind, severity, sources }: TrackedIncident,
  { receiver, routes }: Pick<DeliveryOptions, "receiver" | "routes">,
): boolean {
  return routes.some((route) =>
    route.receivers.includes(receiver) && route.kinds.includes(kind) && isAtLeast(severity, route.severity) &&
    (route.sources === null || sources.some((source) => route.sources!.includes(source)))
  );
}
