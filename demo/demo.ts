/** `deno task demo`: the real service at work for half a minute, and an account of every message. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { addsUp, takeAccount } from "./account.ts";
import { Fleet } from "./fleet.ts";
import { type DeadLetter, DEMO_API_KEY, generateDeadLetters } from "../testkit/mutt/dead_letters.ts";
import {
  formatAddresses,
  formatConsole,
  formatEnding,
  formatLine,
  formatNext,
  formatOpening,
  formatRemark,
  formatStay,
  type GateView,
  TABLE_HEAD,
} from "./screen.ts";
import type { Inbox } from "../testkit/inbox.ts";
import { EXIT, runInterruptible } from "../scripts/program.ts";
import { createConsoleKey, makeLoginLink } from "./console.ts";
import { LEASE_SECONDS, openStage, serviceEnvironment, type Stage, TOLD } from "./stage.ts";
import { keepFeeding, openIncident } from "./stay.ts";

const MIN_MESSAGES = 50, MAX_MESSAGES = 400;
/** For how long Moogsoft is down at first: until its outage has been told, but not longer than the second number. */
const OUTAGE_SECONDS = 4, LONGEST_OUTAGE_SECONDS = 40;
/**
 * Share of the messages that fail only later, and how many of them do so each second while no more than {@link FEW} wait. Poison
 * needs some beside it in several cycles, to be told from a common failure: on a slow machine more of them come than were planned.
 */
const LATE_SHARE = 0.2, LATE_PER_SECOND = 10, FEW = 40;
const POISON_EVERY = 8;
/** The demo ends when nothing waits any more. Something hangs if that takes so long; then the account tells what still waits. */
const MAX_SECONDS = 300;
/** The leader is killed once this share of the messages is delivered. */
const KILL_SHARE = 0.65;
const MAX_REPLICAS = 5;

const HELP = `Shows the service at work: own Redis, stand-ins for Moogsoft and the alerter, an account at the end.

Usage: deno task demo [--stay] [--messages N] [--seed N] [--replicas N] [--kill-leader]

  --stay         goes on with one incident after another until Ctrl-C, slowly enough to look around in the console
                 (its messages are its own; the hour before is made up)
  --messages N   dead letters in all, ${MIN_MESSAGES} to ${MAX_MESSAGES} (default 300)
  --seed N       other messages (default 1)
  --replicas N   instances of the service, 1 to ${MAX_REPLICAS} (default 1, with --kill-leader 3): one leads
  --kill-leader  kills the one that leads while it works: another takes over

Exit codes: 0 the account adds up; 1 it does not; 2 wrong command line; 130 Ctrl-C.`;

interface Options {
  readonly messages: number;
  readonly seed: number;
  readonly replicas: number;
  readonly killLeader: boolean;
  readonly stay: boolean;
}

/** Runs the demo. Resolves with the exit code when nothing of it is left; a signal ends it early. */
export async function runDemo(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "number") return options;
  return await runInterruptible("demo", (signal) => play(options, signal));
}

/** @returns an exit code where there is nothing to run. */
function parseOptions(args: readonly string[]): Options | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        ...{ help: { type: "boolean" }, messages: { type: "string" }, seed: { type: "string" } },
        ...{ replicas: { type: "string" }, "kill-leader": { type: "boolean" }, stay: { type: "boolean" } },
      },
    });
    if (!values.help) {
      const killLeader = values["kill-leader"] ?? false;
      return {
        messages: wholeNumber("--messages", values.messages ?? "300", { min: MIN_MESSAGES, max: MAX_MESSAGES }),
        seed: wholeNumber("--seed", values.seed ?? "1", { min: 0, max: 2 ** 32 - 1 }),
        replicas: wholeNumber("--replicas", values.replicas ?? (killLeader ? "3" : "1"), {
          min: killLeader ? 2 : 1,
          max: MAX_REPLICAS,
        }),
        killLeader,
        stay: values.stay ?? false,
      };
    }
    console.log(HELP);
    return EXIT.good;
  } catch (error) {
    console.error(`${(error as Error).message} (see --help)`);
    return EXIT.usage;
  }
}

function wholeNumber(flag: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new RangeError(`${flag} "${text}" is not a whole number from ${min} to ${max}`);
}

async function play(options: Options, signal: AbortSignal): Promise<number> {
  const { messages, seed, replicas, killLeader, stay } = options;
  if (stay) return await playOn(options, signal);
  const letters = generateDeadLetters({ count: messages, seed });
  console.log(formatOpening(letters, seed));
  await using stage = await openStage(signal);
  const { backlog, late } = splitLate(letters);
  stage.moog.answerWith(503);
  await stage.put(backlog);
  const key = createConsoleKey();
  await using fleet = await Fleet.start(replicas, {
    cwd: stage.dir,
    env: { ...serviceEnvironment(stage), ...key.env },
  });
  const services = await fleet.ports();
  console.log(formatAddresses(services));
  console.log(formatConsole(await makeLoginLink(services[0]!.api!, key.text)));
  console.log(TABLE_HEAD);
  const later = new LaterLetters(late, seed);
  await runScenes({ stage, fleet, letters, later, killAt: killLeader ? KILL_SHARE * messages : Infinity, signal });
  await stopInOrder({ stage, fleet });
  const found = await stage.collect();
  const all = [...letters, ...later.unplanned];
  const account = takeAccount(all, found);
  const secrets = countSecrets(all, fleet.lines());
  console.log(formatEnding({ account, found, secrets }));
  console.log(formatNext(nameOfDeno()));
  return addsUp(account) && secrets.leaks === 0 ? EXIT.good : EXIT.bad;
}

/** One incident after another, until the signal. */
async function playOn({ seed, replicas }: Options, signal: AbortSignal): Promise<number> {
  await using incident = await openIncident({ seed, replicas, signal });
  const { stage, key, gone } = incident;
  console.log(formatStay({ link: await incident.makeLink(), key }));
  await Promise.race([keepFeeding(stage, { seed, signal, tell: (remark) => console.log(formatRemark(remark)) }), gone]);
  return EXIT.good;
}

/**
 * What lies there from the start, and what comes later. Poison is among the first (every {@link POISON_EVERY}-th). The later messages
 * get through, which shows that the messages that keep coming back are at fault, and not the consumer.
 */
function splitLate(letters: readonly DeadLetter[]): { backlog: DeadLetter[]; late: DeadLetter[] } {
  const [poison, others] = [letters.filter(isPoison), letters.filter((letter) => !isPoison(letter))];
  const late = others.splice(-Math.round(letters.length * LATE_SHARE));
  poison.forEach((letter, i) => others.splice(i * POISON_EVERY, 0, letter));
  return { backlog: others, late };
}

function isPoison({ kind }: DeadLetter): boolean {
  return kind === "poison";
}

/** The messages that fail later, in their order, and behind them any number of healthy ones. */
class LaterLetters {
  /** Those that were taken beyond the planned ones. */
  readonly unplanned: DeadLetter[] = [];
  readonly #planned: readonly DeadLetter[];
  #seed: number;
  #taken = 0;

  constructor(planned: readonly DeadLetter[], seed: number) {
    this.#planned = planned;
    this.#seed = seed;
  }

  /** How many planned ones have not been taken. */
  get left(): number {
    return this.#planned.length - this.#taken;
  }

  get hasBegun(): boolean {
    return this.#taken > 0;
  }

  takePlanned(count: number): readonly DeadLetter[] {
    const taken = this.#planned.slice(this.#taken, this.#taken + count);
    this.#taken += taken.length;
    return taken;
  }

  takeUnplanned(count: number): readonly DeadLetter[] {
    const taken = generateDeadLetters({ count, seed: ++this.#seed, mix: { healthy: 1 } });
    this.unplanned.push(...taken);
    return taken;
  }
}

interface Scenes {
  readonly stage: Stage;
  readonly fleet: Fleet;
  /** All planned ones. */
  readonly letters: readonly DeadLetter[];
  readonly later: LaterLetters;
  /** The leader is killed once so many are delivered. */
  readonly killAt: number;
  readonly signal: AbortSignal;
}

/** Second by second until all lists but the dead one are empty. */
async function runScenes({ stage, fleet, letters, later, killAt, signal }: Scenes): Promise<void> {
  const gone = Promise.race([stage.alerter.running, fleet.watch()]);
  const startedAtMs = performance.now();
  const explained = new Set<string>(), killing = new Killing(fleet), told = new TellingNotices(stage.inbox);
  let isDown = true;
  const dying = letters.filter(({ fate }) => fate !== "delivered").length, poison = letters.filter(isPoison).length;
  for (let second = 1; second <= MAX_SECONDS; second++) {
    await Promise.race([sleep(startedAtMs + second * 1_000 - performance.now(), undefined, { signal }), gone]);
    const isTold = told.step();
    if (isDown && (second > LONGEST_OUTAGE_SECONDS || (second > OUTAGE_SECONDS && isTold))) {
      isDown = false;
      endOutage(stage);
    }
    const [depths, { gates, leader }] = await Promise.all([stage.measure(), fleet.ask()]);
    console.log(formatLine(second, { depths, gates, leader: fleet.size > 1 ? leader : undefined }));
    if (depths.delivered >= killAt) await killing.step(leader);
    explainOnce(gates ?? [], explained);
    const waiting = depths.dlq + depths.ingest + depths.processing;
    if (waiting === 0 && later.left === 0 && told.isOver) return;
    if (waiting > FEW) continue;
    if (!later.hasBegun) console.log(formatRemark("some more messages fail, while others keep coming back"));
    if (later.left > 0) await stage.put(later.takePlanned(waiting === 0 ? later.left : LATE_PER_SECOND));
    else if (waiting <= poison && depths.dead < dying) await stage.put(later.takeUnplanned(LATE_PER_SECOND));
  }
  console.log(formatRemark(`${MAX_SECONDS} s are over, and messages still wait`));
}

function endOutage({ moog }: Stage): void {
  moog.answerWith(200);
  console.log(formatRemark("Moogsoft is back"));
}

/** Tells each reason for a closed gate in the service's own words when it is seen first. */
function explainOnce(gates: readonly GateView[], explained: Set<string>): void {
  for (const { open, name, reason, detail } of gates) {
    if (open || explained.has(`${name} ${reason}`)) continue;
    explained.add(`${name} ${reason}`);
    console.log(formatRemark(`${name}: ${detail}`));
  }
}

/** Shows what the receivers are told: each title once, with those that got it. */
class TellingNotices {
  readonly #inbox: Inbox;
  readonly #shown = new Set<string>();

  constructor(inbox: Inbox) {
    this.#inbox = inbox;
  }

  /** Whether every receiver was told that the outage is over. */
  get isOver(): boolean {
    return TOLD.every((type) => this.#inbox.notices().some(({ receiver, isOver }) => receiver === type && isOver));
  }

  /** Shows what every receiver has by now. Returns whether each has got something. */
  step(): boolean {
    const counts = TOLD.map((type) => this.#inbox.titles(type).length), least = Math.min(...counts);
    for (const title of this.#inbox.titles("slack").slice(0, least)) {
      if (!this.#shown.has(title)) console.log(formatRemark(`told ${TOLD.join(", ")}: ${title}`));
      this.#shown.add(title);
    }
    return least > 0;
  }
}

/** Kills whoever leads, once, and tells who leads then. */
class Killing {
  readonly #fleet: Fleet;
  #killed: { name: string; atMs: number } | null = null;
  #isTold = false;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  async step(leader: string | null): Promise<void> {
    if (this.#killed && !this.#isTold && leader) {
      this.#isTold = true;
      const seconds = ((performance.now() - this.#killed.atMs) / 1_000).toFixed(0);
      console.log(formatRemark(`${leader} leads, within ${seconds} s of the end of ${this.#killed.name}`));
    } else if (!this.#killed && leader) {
      await this.#fleet.kill(leader);
      this.#killed = { name: leader, atMs: performance.now() };
      console.log(formatRemark(`${leader} was killed (kill -9). Its lease of ${LEASE_SECONDS} s has to run out first`));
    }
  }
}

/** The service by SIGTERM, as an operator would; then who takes its messages. Afterwards nothing moves any more. */
async function stopInOrder({ stage, fleet }: { stage: Stage; fleet: Fleet }): Promise<void> {
  const codes = await fleet.stop();
  await stage.alerter.stop();
  console.log(formatRemark(`the service was told to stop (SIGTERM) and ended with exit code ${codes.join(", ")}`));
}

function countSecrets(letters: readonly DeadLetter[], lines: readonly string[]) {
  const decoder = new TextDecoder();
  return {
    messages: letters.filter(({ payload }) => decoder.decode(payload).includes(DEMO_API_KEY)).length,
    logLines: lines.length,
    leaks: lines.filter((line) => line.includes(DEMO_API_KEY)).length,
  };
}

/** Through npx there is no `deno` on the caller's path. */
function nameOfDeno(): string {
  return Deno.env.get("npm_command") === "exec" ? `npx -y deno@${Deno.version.deno}` : "deno";
}

if (import.meta.main) Deno.exit(await runDemo(Deno.args));
