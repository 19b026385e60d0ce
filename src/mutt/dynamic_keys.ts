/** Settings that change at run time: Redis keys override the static settings. Pure except for its listeners. */
import { durationType, type Field, type FieldType, integerType } from "../config/field.ts";
import { FIELDS, SETTING_KEYS, type SettingKey, type Settings } from "../config/fields.ts";
import { quote } from "../config/redact.ts";

/** The parsed value of a key, or the reason it is invalid. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const SETTING_BY_DYNAMIC_KEY: ReadonlyMap<string, SettingKey> = new Map(
  SETTING_KEYS.flatMap((key) => {
    const { dynamicKey } = FIELDS[key];
    return dynamicKey === null ? [] : [[dynamicKey, key] as const];
  }),
);

/** Keys that override a setting, without the prefix `mutt:config:`. */
export const DYNAMIC_KEYS: readonly string[] = [...SETTING_BY_DYNAMIC_KEY.keys()];

/** Longest accepted value of a dynamic key, in bytes. Valid values are words and numbers. */
export const MAX_DYNAMIC_BYTES = 1_024;

/**
 * Parses the text of a dynamic key by the rules of its setting: same bounds, any case, surrounding white space ignored.
 */
export function parseDynamic(key: string, text: string): Parsed<Settings[SettingKey]> {
  const setting = SETTING_BY_DYNAMIC_KEY.get(key);
  if (!setting) return { ok: false, problem: `${key} is not a dynamic key` };
  const field: Field<Settings[SettingKey]> = FIELDS[setting];
  const value = field.parse(text);
  return value === undefined
    ? { ok: false, problem: `${key} ${quote(text)} is not ${field.expected}` }
    : { ok: true, value };
}

/** Settings that MUTT's services share through Redis. Read only if `DYNAMIC_CONFIG_ENABLED` is true. */
export interface MuttSharedSettings {
  /** Alerts that the forwarders may send per period; `null` if the key is not set. */
  readonly moogRateLimit: number | null;
  /** The period of the rate limit; `null` if the key is not set. */
  readonly moogRatePeriodMs: number | null;
  /** Depth of the alert queue at which the alerter warns; `null` if the key is not set. */
  readonly alerterQueueWarnThreshold: number | null;
}

/** Describes one of the {@link MuttSharedSettings}: its key, type, and text for the documentation. */
export interface MuttSharedField {
  /** Name without the prefix `mutt:config:`. */
  readonly key: string;
  readonly type: FieldType<number>;
  readonly doc: string;
}

/** Fields of the {@link MuttSharedSettings}. A rate limit of 0 blocks all alerts. */
export const MUTT_SHARED_FIELDS: Readonly<Record<keyof MuttSharedSettings, MuttSharedField>> = {
  moogRateLimit: {
    key: "moog_rate_limit",
    type: integerType({ min: 0, max: 1_000_000, unit: "alerts a period" }),
    doc: "Rate limit of the forwarder. Overrides `MOOG_RATE_LIMIT`.",
  },
  moogRatePeriodMs: {
    key: "moog_rate_period",
    type: durationType({ min: 1, max: 86_400, unit: "seconds" }),
    doc: "Period of that limit. Overrides `MOOG_RATE_PERIOD`.",
  },
  alerterQueueWarnThreshold: {
    key: "alerter_queue_warn_threshold",
    type: integerType({ min: 1, max: 1_000_000_000, unit: "messages" }),
    doc: "Limit of the gate `depth` of the source `alerter` if `REMEDIATION_TARGET_MAX_DEPTH` is not set.",
  },
};

const MUTT_SHARED_BY_KEY: ReadonlyMap<string, keyof MuttSharedSettings> = new Map(
  (Object.keys(MUTT_SHARED_FIELDS) as (keyof MuttSharedSettings)[]).map((name) => [MUTT_SHARED_FIELDS[name].key, name]),
);

/** Keys of the {@link MuttSharedSettings}, without the prefix `mutt:config:`. */
export const MUTT_SHARED_KEYS: readonly string[] = [...MUTT_SHARED_BY_KEY.keys()];

/** Parses the text of one of the {@link MUTT_SHARED_KEYS}. */
export function parseMuttShared(key: string, text: string): Parsed<number> {
  const name = MUTT_SHARED_BY_KEY.get(key);
  if (!name) return { ok: false, problem: `${key} is not a shared MUTT key` };
  const { type } = MUTT_SHARED_FIELDS[name];
  const value = type.parse(text);
  return value === undefined
    ? { ok: false, problem: `${key} ${quote(text)} is not ${type.expected}` }
    : { ok: true, value };
}

/**
 * Result of {@link LiveSettings.apply}. A bad value is `rejected` once; repeats of it are `unchanged`. A good one after it is `applied`, also
 * if it is the one in force: that ends the rejection.
 */
export type Applied =
  | { readonly result: "applied" | "unchanged" }
  | { readonly result: "rejected"; readonly problem: string };

const UNCHANGED: Applied = { result: "unchanged" };
const NO_MUTT_SHARED: MuttSharedSettings = {
  moogRateLimit: null,
  moogRatePeriodMs: null,
  alerterQueueWarnThreshold: null,
};

/** Holds the current settings: the static ones, overridden by the dynamic keys. */
export class LiveSettings {
  readonly #initial: Settings;
  readonly #listeners = new Set<() => void>();
  /** The last text of each key, valid or not, to recognise repeats. */
  readonly #texts = new Map<string, string>();
  /** Keys whose last text was rejected. */
  readonly #rejected = new Set<string>();
  readonly #overridden = new Set<SettingKey>();
  #current: Settings;
  #muttShared = NO_MUTT_SHARED;

  /** @param initial the static settings; a deleted key falls back to them */
  constructor(initial: Settings) {
    this.#initial = initial;
    this.#current = initial;
  }

  /** Returns an immutable snapshot of the settings. Each change creates a new one. */
  current(): Settings {
    return this.#current;
  }

  /** Returns the settings that have their value from a dynamic key. */
  overridden(): ReadonlySet<SettingKey> {
    return this.#overridden;
  }

  /** Returns an immutable snapshot of MUTT's shared settings. */
  muttShared(): MuttSharedSettings {
    return this.#muttShared;
  }

  /** Calls `listener` after each change of a value. Returns a function that removes it. A listener must not throw. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Applies the text of a dynamic key or of one of the {@link MUTT_SHARED_KEYS}. `null` and empty text unset the key.
   * An invalid text changes nothing. Text longer than {@link MAX_DYNAMIC_BYTES} may be cut one byte above that limit.
   * Safe to repeat with the same text.
   */
  apply(key: string, text: string | null): Applied {
    const given = text?.trim() || isTooLong(text) ? text : null;
    if (given === (this.#texts.get(key) ?? null)) return UNCHANGED;
    if (given === null) this.#texts.delete(key);
    else this.#texts.set(key, given);
    const applied = this.#applyText(key, given), wasRejected = this.#rejected.delete(key);
    if (applied.result === "rejected") this.#rejected.add(key);
    return wasRejected && applied.result === "unchanged" ? { result: "applied" } : applied;
  }

  #applyText(key: string, text: string | null): Applied {
    if (isTooLong(text)) return { result: "rejected", problem: `${key} is longer than ${MAX_DYNAMIC_BYTES} bytes` };
    return MUTT_SHARED_BY_KEY.has(key) ? this.#applyMuttShared(key, text) : this.#applySetting(key, text);
  }

  #applySetting(key: string, text: string | null): Applied {
    const setting = SETTING_BY_DYNAMIC_KEY.get(key);
    const parsed = text === null && setting ? valueOf(this.#initial[setting]) : parseDynamic(key, text ?? "");
    if (!parsed.ok) return { result: "rejected", problem: parsed.problem };
    if (setting && text === null) this.#overridden.delete(setting);
    else if (setting) this.#overridden.add(setting);
    if (!setting || this.#current[setting] === parsed.value) return UNCHANGED;
    this.#current = Object.freeze({ ...this.#current, [setting]: parsed.value });
    return this.#announce();
  }

  #applyMuttShared(key: string, text: string | null): Applied {
    const name = MUTT_SHARED_BY_KEY.get(key)!;
    const parsed = text === null ? valueOf(null) : parseMuttShared(key, text);
    if (!parsed.ok) return { result: "rejected", problem: parsed.problem };
    if (this.#muttShared[name] === parsed.value) return UNCHANGED;
    this.#muttShared = Object.freeze({ ...this.#muttShared, [name]: parsed.value });
    return this.#announce();
  }

  #announce(): Applied {
    for (const listener of this.#listeners) listener();
    return { result: "applied" };
  }
}

function isTooLong(text: string | null): boolean {
  return text !== null && new TextEncoder().encode(text).length > MAX_DYNAMIC_BYTES;
}

function valueOf<T>(value: T): Parsed<T> {
  return { ok: true, value };
}
