/** `deno task demo`: the real service at work for half a minute, and an account of every message. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Service, startService } from "../tests/support/service.ts";
import { addsUp, takeAccount } from "./account.ts";
import { type DeadLetter, DEMO_API_KEY, generateDeadLetters } from "./generator.ts";
import {
  formatAddresses,
  formatEnding,
  formatLine,
  formatNext,
  formatOpening,
  formatRemark,
  type GateView,
  TABLE_HEAD,
} from "./screen.ts";
import { EXIT, runInterruptible } from "./interruptible.ts";
import { openStage, type Stage } from "./stage.ts";

const MIN_MESSAGES = 50, MAX_MESSAGES = 400;
/** For how long Moogsoft is down at first. */
const OUTAGE_SECONDS = 4;
/** Share of the messages that fail only later: one for each so many that the consumer has accepted. */
const LATE_SHARE = 0.2, DELIVERIES_PER_LATE = 4;
const POISON_EVERY = 8;
/** The account is taken then, whatever is still on its way. */
const MAX_SECONDS = 48;
const START_TIMEOUT_MS = 30_000, STOP_TIMEOUT_MS = 5_000;

const HELP = `Shows the service at work: own Redis, stand-ins for Moogsoft and the alerter, an account at the end.

Usage: deno task demo [--messages N] [--seed N]

  --messages N   dead letters in all, ${MIN_MESSAGES} to ${MAX_MESSAGES} (default 300)
  --seed N       other messages (default 1)

Exit codes: 0 the account adds up; 1 it does not; 2 wrong command line; 130 Ctrl-C.`;

interface Options {
  readonly messages: number;
  readonly seed: number;
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
      options: { help: { type: "boolean" }, messages: { type: "string" }, seed: { type: "string" } },
    });
    if (!values.help) {
      return {
        messages: wholeNumber("--messages", values.messages ?? "300", { min: MIN_MESSAGES, max: MAX_MESSAGES }),
        seed: wholeNumber("--seed", values.seed ?? "1", { min: 0, max: 2 ** 32 - 1 }),
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

async function play({ messages, seed }: Options, signal: AbortSignal): Promise<number> {
  const letters = generateDeadLetters({ count: messages, seed });
  console.log(formatOpening(letters, seed));
  await using stage = await openStage(signal);
  const { backlog, late } = splitLate(letters);
  stage.moog.answerWith(503);
  await stage.put(backlog);
  await using service = startService({ cwd: stage.dir, env: serviceEnvironment(stage) });
  const { health, metrics } = await service.ports({ timeoutMs: START_TIMEOUT_MS });
  console.log(formatAddresses({ health, metrics }));
  console.log(TABLE_HEAD);
  await runScenes({ stage, service, late, healthPort: health, signal });
  await stopInOrder({ stage, service });
  const found = await stage.collect();
  const account = takeAccount(letters, found);
  const secrets = countSecrets(letters, service);
  console.log(formatEnding({ account, found, secrets }));
  console.log(formatNext(nameOfDeno()));
  return addsUp(account) && secrets.leaks === 0 ? EXIT.good : EXIT.bad;
}

/**
 * What lies there from the start, and what comes later. A DLQ that grows as fast as it is emptied is taken for an outage,
 * in which no message is to blame (DESIGN.md §4), and poison lives on. So that it ends within the demo, poison is among the
 * first (every {@link POISON_EVERY}-th), and what comes later grows less as the demo goes on, as after a real outage.
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

/** What differs from the defaults; the pace stays as it is shipped. */
function serviceEnvironment(stage: Stage): Record<string, string> {
  return {
    REDIS_URL: stage.redisUrl,
    MOOG_WEBHOOK_URL: stage.moog.url,
    MOOG_HEALTH_CACHE_SECONDS: "1",
    REMEDIATION_INTERVAL: "1",
    REMEDIATION_BATCH_SIZE: "0",
    LOG_LEVEL: "DEBUG",
    LOG_JSON_ENABLED: "true",
    POD_NAME: "demo",
  };
}

interface Scenes {
  readonly stage: Stage;
  readonly service: Service;
  readonly late: readonly DeadLetter[];
  readonly healthPort: number;
  readonly signal: AbortSignal;
}

/** Second by second until all lists but the dead one are empty, or the time is up. */
async function runScenes({ stage, service, late, healthPort, signal }: Scenes): Promise<void> {
  const gone = Promise.race([stage.consumer.running, service.exit.then(() => failWithLog(service))]);
  const startedAtMs = performance.now();
  const explained = new Set<string>();
  let latePut = 0;
  for (let second = 1; second <= MAX_SECONDS; second++) {
    await Promise.race([sleep(startedAtMs + second * 1_000 - performance.now(), undefined, { signal }), gone]);
    if (second === OUTAGE_SECONDS + 1) endOutage(stage);
    const [depths, gates] = await Promise.all([stage.measure(), askGates(healthPort)]);
    console.log(formatLine(second, { depths, gates }));
    explainOnce(gates ?? [], explained);
    const isQuiet = depths.dlq + depths.ingest + depths.processing === 0;
    if (isQuiet && latePut === late.length) return;
    const due = isQuiet ? late.length : Math.floor(depths.delivered / DELIVERIES_PER_LATE);
    await stage.put(late.slice(latePut, due));
    latePut = Math.max(latePut, Math.min(due, late.length));
  }
  console.log(formatRemark(`${MAX_SECONDS} s are over`));
}

function endOutage({ moog }: Stage): void {
  moog.answerWith(200);
  console.log(formatRemark("Moogsoft is back. For a while, some more messages fail"));
}

/** Tells each reason for a closed gate in the service's own words when it is seen first. */
function explainOnce(gates: readonly GateView[], explained: Set<string>): void {
  for (const { open, name, reason, detail } of gates) {
    if (open || explained.has(`${name} ${reason}`)) continue;
    explained.add(`${name} ${reason}`);
    console.log(formatRemark(`${name}: ${detail}`));
  }
}

/** The gates of the source as `/health` shows them; `null` where it does not answer. */
async function askGates(port: number): Promise<GateView[] | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/health`, { headers: { accept: "application/json" } });
    return (await response.json()).sources[0].gates;
  } catch {
    return null;
  }
}

function failWithLog(service: Service): never {
  throw new Error(`the service ended by itself\n${service.stderr.slice(-20).join("\n")}`);
}

/** The service by SIGTERM, as an operator would; then who takes its messages. Afterwards nothing moves any more. */
async function stopInOrder({ stage, service }: { stage: Stage; service: Service }): Promise<void> {
  service.signal("SIGTERM");
  const late = setTimeout(() => service.signal("SIGKILL"), STOP_TIMEOUT_MS);
  const { code } = await service.exit;
  clearTimeout(late);
  await stage.consumer.stop();
  console.log(formatRemark(`the service was told to stop (SIGTERM) and ended with exit code ${code}`));
}

function countSecrets(letters: readonly DeadLetter[], service: Service) {
  const decoder = new TextDecoder();
  const lines = [...service.stdout, ...service.stderr];
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
