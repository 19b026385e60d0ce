/**
 * What operators write to the state of a source: a pause, a freeze, the release of the brake, the wish for a cycle. Any instance may write
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
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import { wrongTypeError } from "./errors.ts";
import { oversizeKey, stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import holdSource from "./scripts/hold_source.lua" with { type: "text" };
import releaseBrake from "./scripts/release_brake.lua" with { type: "text" };
import returnOversize from "./scripts/return_oversize.lua" with { type: "text" };
import requestCycle from "./scripts/request_cycle.lua" with { type: "text" };

/** The state of a source right before a change. */
export interface StateBefore {
  readonly record: CycleState;
  /** The instant of the change, by the server's clock. */
  readonly nowMs: number;
}

/** How long a pause or a freeze lasts, who sets it, and why. */
export interface HoldRequest {
  readonly forMs: number;
  readonly by: string;
  readonly reason: string;
}

const END_NOW: HoldRequest = { forMs: 0, by: "", reason: "" };
/** The fields of the state: end, operator, reason. */
const PAUSE_FIELDS = ["pausedUntilMs", "pausedBy", "pauseReason"],
  FREEZE_FIELDS = ["frozenUntilMs", "frozenBy", "freezeReason"];

/** Changes the state of one source. Calls reject with a `StoreError`, and none is retried; all but the return of messages are safe to repeat. */
export class SourceControl {
  readonly #state: string;
  readonly #hold: Script;
  readonly #release: Script;
  readonly #requestCycle: Script;
  readonly #returnOversize: Script;
  readonly #dlq: string;

  constructor(committer: RedisClient, { dlq, push }: Pick<SourcePolicy, "dlq" | "push">) {
    this.#dlq = dlq;
    this.#state = stateKey(dlq);
    this.#returnOversize = loadScript(committer, { name: "returnOversize", keys: 2, lua: returnOversize, push });
    this.#hold = loadScript(committer, { name: "holdSource", keys: 1, lua: holdSource });
    this.#release = loadScript(committer, { name: "releaseBrake", keys: 1, lua: releaseBrake });
    this.#requestCycle = loadScript(committer, { name: "requestCycle", keys: 1, lua: requestCycle });
  }

  /** Holds automatic replay for `forMs`, from the server's now on. Replaces another pause. Nothing moves after the reply. */
  pause(pause: HoldRequest): Promise<StateBefore> {
    return this.#holdBy(PAUSE_FIELDS, pause);
  }

  /** Ends a pause. */
  resume(): Promise<StateBefore> {
    return this.#holdBy(PAUSE_FIELDS, END_NOW);
  }

  /** Holds all replay, by jobs too, for `forMs`, from the server's now on. Replaces another freeze. Nothing goes to the target after the reply. */
  freeze(freeze: HoldRequest): Promise<StateBefore> {
    return this.#holdBy(FREEZE_FIELDS, freeze);
  }

  /** Ends a freeze. */
  unfreeze(): Promise<StateBefore> {
    return this.#holdBy(FREEZE_FIELDS, END_NOW);
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

  #holdBy(fields: readonly string[], { forMs, by, reason }: HoldRequest): Promise<StateBefore> {
    return this.#call(this.#hold, [forMs, by, reason, ...fields]);
  }

  async #call(script: Script, details: readonly (string | number)[]): Promise<StateBefore> {
    const reply = await script(this.#state, ...details, MAX_FIELD_BYTES, ...CYCLE_STATE_FIELDS);
    if (!Array.isArray(reply)) throw wrongTypeError(`${this.#state} is not a hash`);
    const [flat, nowMs] = reply as [unknown[], number];
    return { record: parseCycleState(flat), nowMs };
  }
}
