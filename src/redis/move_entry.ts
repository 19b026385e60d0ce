/** The journal's entry of a commit. The commit's script appends it, so a move and its entry are one step. Pure. */
import type { Commit } from "../cycle/chunk.ts";
import { messageId } from "../message/message_id.ts";

/** The most messages that an entry names. */
const SAMPLES = 4;

/** One commit in the journal of a source's moves. */
export interface MoveEntry {
  readonly kind: "move";
  /** Sequence number of the state that the commit was based on. */
  readonly sequence: string;
  /** Number of the cycle; 0: unknown. */
  readonly cycle: number;
  /** Messages moved to the target. */
  readonly replayed: number;
  /** Messages moved to the dead list (oversize ones: to their own list), by reason. */
  readonly dead: Readonly<Record<string, number>>;
  /** Total size of the messages as they were read. */
  readonly bytes: number;
  /** Ids of a few of the messages: dead ones first, then the oldest and the newest. */
  readonly samples: readonly string[];
  /** Id of the job that the commit belongs to; `null`: automatic replay. */
  readonly job: string | null;
  /** The instance that moved them. */
  readonly instance: string;
}

/** Describes a commit by the instance with this name, of a job or (`null`) of automatic replay. */
export function describeCommit(commit: Commit, { instance, job }: Pick<MoveEntry, "instance" | "job">): MoveEntry {
  const { sequence, moves, messages, oversize, note } = commit;
  return {
    kind: "move",
    sequence,
    cycle: note?.cycle ?? 0,
    replayed: moves.filter(({ to }) => to === "target").length,
    dead: note?.dead ?? {},
    bytes: messages.reduce((sum, { length }) => sum + length, oversize?.bytes ?? 0),
    samples: pickSamples(commit).map(messageId),
    job,
    instance,
  };
}

/** An oversize message was not read, so it has no id. */
function pickSamples({ messages, moves }: Commit): readonly Uint8Array[] {
  if (messages.length === 0) return [];
  const deaths: Uint8Array[] = [];
  for (let i = 0; i < moves.length && deaths.length < SAMPLES - 2; i++) {
    if (moves[i]!.to === "dead") deaths.push(messages[i]!);
  }
  return [...new Set([...deaths, messages[0]!, messages.at(-1)!])];
}
