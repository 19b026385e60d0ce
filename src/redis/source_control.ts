/**
 * What operators write to the state of a source: a pause, the release of the brake, the wish for a cycle. Any instance may write
 * it; all of them obey it, by the server's clock.
 */
import {
  brakeFields,
  CYCLE_STATE_FIELDS,
  type CycleState,
  MAX_FIELD_BYTES,
  parseCycleState,
} from "../cycle/cycle_state.ts";
import { RELEASED } from "../cycle/brake.ts";
import type { RedisClient } from "./cluster.ts";
import { wrongTypeError } from "./errors.ts";
import { oversizeKey, stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import pauseSource from "./scripts/pause_source.lua" with { type: "text" };
import releaseBrake from "./scripts/release_brake.lua" with { type: "text" };
import returnOversize from "./scripts/return_oversize.lua" with { type: "text" };
import requestCycle from "./scripts/request_cycle.lua" with { type: "text" };

/** The state of a source right before a change. */
export interface StateBefore {
  readonly record: CycleState;
  /** The instant of the change, by the server's clock. */
  readonly nowMs: number;
}

/** Changes the state of one source. Calls reject with a `StoreError`, and none is retried; all but the return of messages are safe to repeat. */
export class SourceControl {
  readonly #state: string;
  readonly #pause: Script;
  readonly #release: Script;
  readonly #requestCycle: Script;
  readonly #returnOversize: Script;
  readonly #dlq: string;

  constructor(committer: RedisClient, dlq: string) {
    this.#dlq = dlq;
    this.#state = stateKey(dlq);
    this.#returnOversize = loadScript(committer, { name: "returnOversize", keys: 2, lua: returnOversize });
    this.#pause = loadScript(committer, { name: "pauseSource", keys: 1, lua: pauseSource });
    this.#release = loadScript(committer, { name: "releaseBrake", keys: 1, lua: releaseBrake });
    this.#requestCycle = loadScript(committer, { name: "requestCycle", keys: 1, lua: requestCycle });
  }

  /** Holds automatic replay for `forMs`, from the server's now on. Replaces another pause. Nothing moves after the reply. */
  pause({ forMs, by, reason }: { forMs: number; by: string; reason: string }): Promise<StateBefore> {
    return this.#call(this.#pause, [forMs, by, reason]);
  }

  /** Ends a pause. */
  resume(): Promise<StateBefore> {
    return this.#call(this.#pause, [0, "", ""]);
  }

  /** Releases the brake and asks for a cycle. Changes nothing if the brake is released already. */
  release(): Promise<StateBefore> {
    const fields = Object.entries(brakeFields({ ...RELEASED, reason: "released" }));
    return this.#call(this.#release, [fields.length, ...fields.flat()]);
  }

  /** Asks for a cycle without waiting for the interval. */
  requestCycle(): Promise<StateBefore> {
    return this.#call(this.#requestCycle, []);
  }

  /** Moves at most `most` oversize messages, the oldest first, to the newest end of the DLQ. Repeating it moves further ones. */
  async returnOversize(most: number): Promise<{ moved: number; left: number }> {
    const key = oversizeKey(this.#dlq), reply = await this.#returnOversize(key, this.#dlq, most);
    if (!Array.isArray(reply)) throw wrongTypeError(`${key} or ${this.#dlq} is not a list`);
    const [moved, left] = reply as [number, number];
    return { moved, left };
  }

  async #call(script: Script, details: readonly (string | number)[]): Promise<StateBefore> {
    const reply = await script(this.#state, ...details, MAX_FIELD_BYTES, ...CYCLE_STATE_FIELDS);
    if (!Array.isArray(reply)) throw wrongTypeError(`${this.#state} is not a hash`);
    const [flat, nowMs] = reply as [unknown[], number];
    return { record: parseCycleState(flat), nowMs };
  }
}
