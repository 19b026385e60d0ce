/**
 * One turn of a sweep. A chunk is read ahead, so that the next one is judged while Redis sweeps the one before. Three details matter:
 *
 * - A sweep is sent only after the one before was answered, at the sequence number behind it. Whatever else has changed the source's
 *   state meanwhile, such as a pause, makes it stale.
 * - A chunk that is read ahead stands behind those in hand. If other clients have popped, its ends are not at their places any more,
 *   and the sweep is a conflict: the next turn reads again.
 * - Near the last message of the plan, everything sent is answered before a chunk is judged, because that looks behind the chunk.
 */
import type { Chunk, ChunkBounds } from "../cycle/chunk.ts";
import type { SweepStore } from "../redis/sweep_store.ts";
import type { Picker } from "./picker.ts";
import type { Watermark } from "./job.ts";
import { findWatermark, planSweep, type SweepPlan, WATERMARK_WITHIN } from "./plan_sweep.ts";

/** The answer to a sweep: whether it ran, and the chunk read behind it, if any. */
export interface SweepAnswer {
  readonly hasMoved: boolean;
  readonly next: Chunk | null;
}

/** What a turn works with. */
export interface SweepTurnParts {
  readonly sweep: Pick<SweepStore, "read">;
  readonly job: { readonly id: string; readonly watermark: Watermark | null };
  readonly picks: Picker;
  readonly bounds: ChunkBounds;
  /** Time on the monotonic clock, in milliseconds. */
  readonly monotonicMs: () => number;
  /** Whether no further chunk is to be begun. */
  readonly isOver: () => boolean;
  /** Sends a sweep, and with bounds a read behind it. `nowMs`: the server's time. */
  readonly send: (
    plan: SweepPlan & { readonly sequence: string; readonly nowMs: number },
    read: ChunkBounds | null,
  ) => Promise<SweepAnswer>;
}

interface ReadChunk {
  readonly chunk: Chunk;
  readonly readAtMs: number;
}

/** Sweeps until the turn is over or the phase is. Returns false if something has changed meanwhile, so that it must be read again. */
export async function sweepTurn(parts: SweepTurnParts): Promise<boolean> {
  const turn = new SweepTurn(parts);
  try {
    return await turn.run();
  } finally {
    await turn.land();
  }
}

class SweepTurn {
  readonly #parts: SweepTurnParts;
  /** Chunks in hand, the oldest first. At most one of them waits while another one is judged. */
  readonly #ahead: ReadChunk[] = [];
  #flight: { readonly answer: Promise<SweepAnswer>; readonly readAtMs: number } | null = null;

  constructor(parts: SweepTurnParts) {
    this.#parts = parts;
  }

  async run(): Promise<boolean> {
    const { job: { id }, picks, isOver } = this.#parts;
    let sent: { readonly sequence: string; readonly left: number } | null = null;
    while (true) {
      const isNear: boolean = sent !== null && sent.left <= WATERMARK_WITHIN;
      if ((isNear || this.#ahead.length === 0) && !await this.land()) return false;
      const { chunk, readAtMs } = this.#ahead.shift() ?? await this.#read(0), { record } = chunk;
      if (record.job?.id !== id || record.job.phase !== "sweep" || record.job.isPaused) return true;
      const { sequence, left }: { sequence: string; left: number } = sent ??
        { sequence: record.sequence, left: record.job.left };
      // From now on one is read ahead.
      if (sent === null && left > WATERMARK_WITHIN && !isOver()) this.#ahead.push(await this.#read(sizeOf(chunk)));
      const plan = planSweep(chunk, { left, endsAt: await this.#findEnd(chunk, left), picks });
      if (!await this.land()) return false;
      const isLast = plan.left === 0 || isOver();
      this.#send({ ...plan, sequence, nowMs: chunk.nowMs + this.#parts.monotonicMs() - readAtMs }, isLast);
      if (isLast) return await this.land();
      sent = { sequence: String(Number(sequence) + 1), left: plan.left };
    }
  }

  /** Waits for the answer to what was sent. Returns false if it did not move. */
  async land(): Promise<boolean> {
    const flight = this.#flight;
    if (flight === null) return true;
    this.#flight = null;
    const { hasMoved, next } = await flight.answer;
    if (hasMoved && next) this.#ahead.push({ chunk: next, readAtMs: flight.readAtMs });
    return hasMoved;
  }

  #send(plan: Parameters<SweepTurnParts["send"]>[0], isLast: boolean): void {
    const { send, bounds, monotonicMs } = this.#parts;
    const skip = this.#ahead.reduce((sum, { chunk }) => sum + sizeOf(chunk), 0), readAtMs = monotonicMs();
    const answer = send(plan, isLast ? null : { ...bounds, skip });
    // A failure is thrown where the answer is awaited, which is after the next chunk was judged.
    answer.catch(() => {});
    this.#flight = { answer, readAtMs };
  }

  async #read(skip: number): Promise<ReadChunk> {
    const { sweep, bounds, monotonicMs } = this.#parts, readAtMs = monotonicMs();
    return { chunk: await sweep.read({ ...bounds, skip }), readAtMs };
  }

  /**
   * Returns the place of the job's last message in the chunk; 0: it is not there. Of equal messages the last one counts, because an
   * older one would end the sweep early.
   */
  async #findEnd(chunk: Chunk, left: number): Promise<number> {
    const { job: { watermark }, sweep, bounds } = this.#parts;
    if (watermark === null || left > WATERMARK_WITHIN) return 0;
    const within = chunk.messages.slice(0, left), endsAt = findWatermark(within, watermark);
    if (endsAt === 0 || endsAt === left) return endsAt;
    for (let skip = within.length; skip < left;) {
      const { messages, oversize } = await sweep.read({ ...bounds, skip });
      if (findWatermark(messages.slice(0, left - skip), watermark) > 0) return 0;
      if (messages.length === 0 && !oversize) break;
      skip += Math.max(1, messages.length);
    }
    return endsAt;
  }
}

function sizeOf({ messages, oversize }: Chunk): number {
  return oversize ? 1 : messages.length;
}
