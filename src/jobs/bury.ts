/** Judges a chunk of a job's own list for the dead list, because an operator wants it there. Pure. */
import type { Chunk } from "../cycle/chunk.ts";
import { buryAsAsked } from "../message/verdict.ts";
import {
  drilledPlan,
  isDrilled,
  type JudgeContext,
  type JudgedChunk,
  readingsOf,
  verdictContext,
} from "../replay/judge_chunk.ts";

/** Returns the moves of the chunk, up to where messages of drills begin or end: these go to the list of the drill. `by`: name of the operator, for the log; `job`: id of the job, for the stamps. */
export function buryChunk(
  chunk: Chunk,
  { by, job, ...context }: JudgeContext & { by: string; job: string },
): JudgedChunk {
  const { policy } = context, [first] = chunk.messages, areDrilled = first !== undefined && isDrilled(first, policy);
  const end = chunk.messages.findIndex((message) => isDrilled(message, policy) !== areDrilled);
  const messages = end < 0 ? chunk.messages : chunk.messages.slice(0, end);
  if (areDrilled) return { ...drilledPlan(messages, context), spent: 0, endsCycle: false };
  const judging = verdictContext(context), detail = `an operator (${by}) buried it`;
  const readingOf = readingsOf(chunk, context);
  const verdicts = messages.map((message, i) =>
    buryAsAsked(message, { context: judging, reading: readingOf(i), detail, job })
  );
  const changes = verdicts.flatMap(({ recordChange }) => recordChange ? [recordChange] : []);
  return {
    ...{ cycle: context.record.cycle, messages, oversize: null, replayed: 0, firsts: 0, places: null, spent: 0 },
    moves: verdicts.map(({ payload }) => ({ to: "dead", payload })),
    deaths: messages.map((message) => ({ reason: "buried", detail, bytes: message.length, message })),
    bytes: messages.reduce((sum, { length }) => sum + length, 0),
    ...{ endsCycle: false, drill: null },
    recordChanges: [...new Map(changes.map((change) => [change.key, change])).values()],
  };
}
