/** The instances of the service in the demo: one, or several of which one leads. */
import { type Service, startService } from "../testkit/service.ts";
import type { GateView } from "./screen.ts";

/** An instance, and where it can be asked. */
interface Member {
  readonly name: string;
  readonly service: Service;
  readonly health: number;
}

/** What the instances say at one instant. */
export interface FleetView {
  /** Gates of the leader, else of the first that answers; `null`: none does. */
  readonly gates: GateView[] | null;
  /** Name of the instance that leads; `null`: none does now. */
  readonly leader: string | null;
}

interface Answer {
  readonly name: string;
  readonly role: string;
  readonly gates: GateView[];
}

const START_TIMEOUT_MS = 30_000, STOP_TIMEOUT_MS = 5_000;

/** Instances with the same settings. Disposing of it leaves none running. */
export class Fleet implements AsyncDisposable {
  readonly #members: readonly Member[];
  readonly #killed = new Set<string>();

  private constructor(members: readonly Member[]) {
    this.#members = members;
  }

  /** Starts them one after another, so that the first leads. */
  static async start(count: number, { cwd, env }: { cwd: string; env: Record<string, string> }): Promise<Fleet> {
    await using starting = new AsyncDisposableStack();
    const members: Member[] = [];
    for (let i = 1; i <= count; i++) {
      const name = count === 1 ? "demo" : `demo-${i}`;
      // Only the first one has the console's usual port.
      const port = i === 1 ? {} : { REMEDIATION_API_PORT: "0" };
      const service = starting.use(startService({ cwd, env: { ...env, ...port, POD_NAME: name } }));
      members.push({ name, service, health: (await service.ports({ timeoutMs: START_TIMEOUT_MS })).health });
    }
    starting.move();
    return new Fleet(members);
  }

  get size(): number {
    return this.#members.length;
  }

  /** Ports of each. */
  async ports(): Promise<{ name: string; health: number; metrics: number; api?: number }[]> {
    return await Promise.all(this.#members.map(async ({ name, service }) => ({ name, ...await service.ports() })));
  }

  /** What all have written. */
  lines(): string[] {
    return this.#members.flatMap(({ service: { stdout, stderr } }) => [...stdout, ...stderr]);
  }

  /** Rejects when one ends that was not killed here. */
  async watch(): Promise<never> {
    const ended = await Promise.race(this.#members.map(async (member) => {
      await member.service.exit;
      return this.#killed.has(member.name) ? new Promise<never>(() => {}) : member;
    }));
    throw new Error(`the service ended by itself\n${ended.service.stderr.slice(-20).join("\n")}`);
  }

  async ask(): Promise<FleetView> {
    const answers = (await Promise.all(this.#members.map(askSource))).filter((answer) => answer !== null);
    const leader = answers.find(({ role }) => role === "leader");
    return { gates: (leader ?? answers[0])?.gates ?? null, leader: leader?.name ?? null };
  }

  /** Ends it as a crash does. */
  async kill(name: string): Promise<void> {
    this.#killed.add(name);
    const { service } = this.#members.find((member) => member.name === name)!;
    service.signal("SIGKILL");
    await service.exit;
  }

  /** Stops those that run by SIGTERM, as an operator would. @returns their exit codes */
  async stop(): Promise<number[]> {
    const running = this.#members.filter(({ name }) => !this.#killed.has(name)).map(({ service }) => service);
    return await Promise.all(running.map(stop));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { service } of this.#members) await service[Symbol.asyncDispose]();
  }
}

async function stop(service: Service): Promise<number> {
  service.signal("SIGTERM");
  const late = setTimeout(() => service.signal("SIGKILL"), STOP_TIMEOUT_MS);
  const { code } = await service.exit;
  clearTimeout(late);
  return code;
}

/** The source as `/health` shows it; `null` where it does not answer. */
async function askSource({ name, health }: Member): Promise<Answer | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${health}/health`, { headers: { accept: "application/json" } });
    const { sources: [{ role, gates }] } = await response.json();
    return { name, role, gates };
  } catch {
    return null;
  }
}
