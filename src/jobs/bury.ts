/** Judges a chunk of a job's own list for the dead list, because an operator wants it there. Pure. */
import type { Chunk } from "../cycle/chunk.ts";
import { buryAsAsked } from "../message/verdict.ts";
import { type JudgeContext, type JudgedChunk, verdictContext } from "../replay/judge_chunk.ts";

/** Returns the moves of the chunk. `by`: name of the operator, for the log; `job`: id of the job, for the stamps. */
export function buryChunk(
  { messages }: Chunk,
  { by, job, ...context }: JudgeContext & { by: string; job: string },
): JudgedChunk {
  const judging = verdictContext(context), detail = `an operator (${by}) buried it`;
  const verdicts = messages.map((message) => buryAsAsked(message, { context: judging, detail, job }));
  return {
    ...{ cycle: context.record.cycle, messages, oversize: null, replayed: 0, firsts: 0, places: null, spent: 0 },
    moves: verdicts.map(({ payload }) => ({ to: "dead", payload })),
    deaths: messages.map((message) => ({ reason: "buried", detail, bytes: message.length, message })),
    bytes: messages.reduce((sum, { length }) => sum + length, 0),
    endsCycle: false,
  };
}
