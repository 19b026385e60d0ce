/** Instances that spread sources, over a table of leases in memory and a clock that a test moves. */
import type { Replica } from "../src/replay/replicas.ts";
import { Spread, type SpreadSource } from "../src/replay/spread.ts";
import { type RecordedLine, recordLog } from "./recorded_log.ts";
import { TestClock } from "./test_clock.ts";

/** How an instance behaves. */
export interface SpreadMember {
  /** Whether it takes what it is offered. */
  takes: boolean;
  /** Digest of its sources. */
  sources: string;
}

interface Offer {
  readonly source: string;
  readonly to: string;
}

/** Sources `s0`, `s1`, … and instances with any tokens. */
export class SpreadWorld {
  readonly clock = new TestClock();
  /** Token of each source's leader; empty: none. */
  readonly leaders = new Map<string, string>();
  readonly members = new Map<
    string,
    SpreadMember & { readonly spread: Spread; readonly lines: readonly RecordedLine[] }
  >();
  /** Sources with a job or a drill. */
  readonly busy = new Set<string>();
  readonly offers: Offer[] = [];
  /** Leases that were taken by an offer so far. */
  handedOver = 0;
  readonly #timing: { lookMs: number; quietMs: number } | undefined;

  /** `timing`: default that of the service. */
  constructor(timing?: { lookMs: number; quietMs: number }) {
    this.#timing = timing;
  }

  join(token: string, { takes = true, sources = "" }: Partial<SpreadMember> = {}): void {
    const { log, lines } = recordLog();
    const spread = new Spread({
      ...{ clock: this.clock, log, isReady: () => true, ...(this.#timing ? { timing: this.#timing } : {}) },
      replicas: { list: () => Promise.resolve(this.#list(token)) },
      sources: () => [...this.leaders.keys()].map((source) => this.#sourceOf(token, source)),
      onRedisError: (error) => {
        throw error;
      },
    });
    this.members.set(token, { takes, sources, spread, lines });
  }

  /** It goes, and others lead what it led. */
  leave(token: string, heir: string): void {
    this.members.delete(token);
    for (const [source, leader] of this.leaders) if (leader === token) this.leaders.set(source, heir);
  }

  /** Gives sources to instances, in order. */
  lead(counts: Readonly<Record<string, number>>): void {
    let next = 0;
    for (const [token, count] of Object.entries(counts)) {
      for (let i = 0; i < count; i++) this.leaders.set(`s${next++}`, token);
    }
  }

  /** How many sources each instance leads. */
  counts(): Record<string, number> {
    const leads = (token: string) => [...this.leaders.values()].filter((leader) => leader === token).length;
    return Object.fromEntries([...this.members.keys()].map((token) => [token, leads(token)]));
  }

  async look(token: string): Promise<void> {
    await this.members.get(token)?.spread.runOnce();
  }

  /** The instance takes what it is offered; an offer that it does not take ends. */
  answer(token: string): void {
    const mine = this.offers.filter(({ to }) => to === token);
    for (const { source } of mine) {
      this.offers.splice(this.offers.findIndex((one) => one.source === source), 1);
      if (!this.members.get(token)?.takes) continue;
      this.leaders.set(source, token);
      this.handedOver++;
    }
  }

  /** All instances look and answer, every two seconds. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 2_000) {
      await this.clock.advance(2_000);
      for (const token of this.members.keys()) await this.look(token);
      for (const token of new Set(this.offers.map(({ to }) => to))) this.answer(token);
    }
  }

  #list(asker: string): Replica[] {
    return [...this.members].map(([token, { sources }]) => ({
      ...{ token, name: token, pod: token, version: "1", startedAt: "", seenMs: 0, sources, isThis: token === asker },
    }));
  }

  #sourceOf(token: string, name: string): SpreadSource {
    const leader = () => this.leaders.get(name)!;
    return {
      ...{ name, isBusy: this.busy.has(name) },
      leadership: {
        status: () => ({
          ...{ role: leader() === token ? "leader" : "standby", holder: leader(), token: leader() },
          ...{ leftMs: 15_000, errorCode: "" },
        }),
        isOffering: () => leader() === token && this.offers.some(({ source }) => source === name),
        offer: ({ to }) => Promise.resolve(void this.offers.push({ source: name, to })),
      },
    };
  }
}
