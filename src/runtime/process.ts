/** The only place that knows the environment, files and the process itself. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import { cpuUsage } from "node:process";
import { SYSTEM_CLOCK } from "./clock.ts";
import { DroppingWriter } from "./dropping_writer.ts";

/** Names by which the runtime's own `fetch` finds a proxy. It asks loopback through it, and knows no `host:port` in `NO_PROXY`. */
const PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
/** Those that were taken out of the environment. */
const taken: Record<string, string> = {};

/**
 * Every environment variable that the process may see. Those that name a proxy are taken out of the process' environment
 * on the way: which requests go through it is ours to say, by the settings that they become.
 */
export function readEnvironment(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const name of PROXY_VARIABLES) {
    if (!Object.hasOwn(environment, name)) continue;
    taken[name] = environment[name]!;
    Deno.env.delete(name);
  }
  return { ...environment, ...taken };
}

/** Those of the variables that are set to what is not UTF-8: {@link readEnvironment} leaves them out. */
export function findUnreadable(names: readonly string[]): string[] {
  return names.filter((name) => {
    try {
      Deno.env.has(name);
      return false;
    } catch (error) {
      // Its message holds the value, so it goes nowhere.
      return error instanceof Deno.errors.InvalidData;
    }
  });
}

/** Most bytes of a file that is read whole: settings, a secret, certificates. */
export const MAX_FILE_BYTES = 1_048_576;

/** A file's text, who owns it (a user's number) and its permission bits. */
export interface TextFile {
  readonly text: string;
  readonly ownerId: number;
  readonly mode: number;
}

/**
 * Reads a regular file of at most `maxBytes` (default {@link MAX_FILE_BYTES}). What is not UTF-8 becomes U+FFFD. It is opened
 * without blocking and then looked at: whatever is put in its place meanwhile, a pipe or device is never waited for.
 * @throws an error named after the reason: `NotFound`, `PermissionDenied`, `NotAFile` (with `isFolder`), `FileTooLarge`, …
 */
export function readFile(path: string, maxBytes = MAX_FILE_BYTES): TextFile {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const facts = fstatSync(file);
    if (!facts.isFile()) throw Object.assign(named("NotAFile"), { isFolder: facts.isDirectory() });
    return { text: readAtMost(file, maxBytes), ownerId: facts.uid, mode: facts.mode & 0o7777 };
  } catch (error) {
    throw withName(error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The text of {@link readFile}. */
export function readTextFile(path: string): string {
  return readFile(path).text;
}

function readAtMost(file: number, maxBytes: number): string {
  const bytes = new Uint8Array(maxBytes + 1);
  let length = 0;
  for (let read = -1; read !== 0 && length < bytes.length; length += read) {
    read = readSync(file, bytes, length, bytes.length - length, null);
  }
  if (length > maxBytes) throw named(`FileTooLarge (more than ${maxBytes} bytes)`);
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** Deno's names for what the system says by a code. */
const ERROR_NAMES: Readonly<Record<string, string>> = {
  ENOENT: "NotFound",
  EACCES: "PermissionDenied",
  EPERM: "PermissionDenied",
  ENOTDIR: "NotADirectory",
  ELOOP: "FilesystemLoop",
  ENXIO: "NotAFile", // a socket
};

function withName(error: unknown): unknown {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? named(ERROR_NAMES[code] ?? code) : error;
}

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** {@link readFile}, or `undefined` where there is no such file. */
export function readFileIfAny(path: string): TextFile | undefined {
  try {
    return readFile(path);
  } catch (error) {
    if (error instanceof Error && error.name === "NotFound") return undefined;
    throw error;
  }
}

/** The text of a file that `deno compile` has put into the binary, or `undefined` where there is none. Its files have no facts. */
export function readEmbedded(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Permission bits of a file; 0 where they are not to be had. */
export function fileMode(path: string): number {
  try {
    return (Deno.statSync(path).mode ?? 0) & 0o7777;
  } catch {
    return 0;
  }
}

/** Number of the user that this process runs as; `null` where it may not be asked. */
export function ownUserId(): number | null {
  try {
    return Deno.uid();
  } catch {
    return null;
  }
}

/** A path from the root on. */
export function absolutePath(path: string): string {
  return resolve(path);
}

/** Standard output could not be written, a full disk mostly. */
export class OutputError extends Error {
  override readonly name = "OutputError";
}

/**
 * Writes to standard output, whole, without buffering. A reader that has gone (`| head`) is no failure of ours: the rest is
 * dropped. @throws {@link OutputError}
 */
export function writeOut(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return;
    throw new OutputError(`standard output cannot be written: ${error instanceof Error ? error.message : error}`);
  }
}

/** A log that nobody reads (a full pipe, a stopped terminal) must not stop the service. */
const err = new DroppingWriter({ write: (bytes) => Deno.stderr.write(bytes) });

/** Has a text written to standard error, in order. Never waits; what finds no reader is dropped and counted. */
export function writeErr(text: string): void {
  err.write(text);
}

/** Waits until standard error has taken everything, at most `timeoutMs`. Call it before the process ends. */
export async function flushErr(timeoutMs: number): Promise<void> {
  const flushed = new AbortController();
  await Promise.race([err.flush().finally(() => flushed.abort()), SYSTEM_CLOCK.sleep(timeoutMs, flushed.signal)]);
}

/** Texts for standard error that were dropped so far. */
export function droppedErr(): number {
  return err.dropped;
}

/** Calls `listener` when standard error is read again, with how many texts were dropped since the last call. */
export function onErrResumed(listener: (dropped: number) => void): void {
  err.onResumed(listener);
}

/** Whether standard error is a terminal (then logs are text for people). */
export function isErrTerminal(): boolean {
  return Deno.stderr.isTerminal();
}

/** How often the wrapper is looked for, in milliseconds. */
const WRAPPER_EVERY_MS = 500;

/**
 * Calls `listener` once when the wrapper that `npx` puts around this process has ended: it hands no signal on, so that the process
 * would stay behind, nobody's. Without npx: never.
 */
export function onNpxGone(listener: () => void): void {
  if (Deno.env.get(NPX_VARIABLE) !== "exec") return;
  const wrapper = Deno.ppid;
  const timer = setInterval(() => {
    if (Deno.ppid === wrapper) return;
    clearInterval(timer);
    listener();
  }, WRAPPER_EVERY_MS);
  Deno.unrefTimer(timer);
}

/** The variable by which npm tells how it was called. */
export const NPX_VARIABLE = "npm_command";

/** What this process uses and since when it runs. */
export interface ProcessUsage {
  readonly residentBytes: number;
  /** User and system time together. */
  readonly cpuSeconds: number;
  /** Seconds since the epoch. */
  readonly startedAtSeconds: number;
}

/** Reads the process' own usage. Needs no permission. */
export function readProcessUsage(): ProcessUsage {
  const { user, system } = cpuUsage();
  return {
    residentBytes: Deno.memoryUsage().rss,
    cpuSeconds: (user + system) / 1e6,
    startedAtSeconds: performance.timeOrigin / 1000,
  };
}

/** The variable that moves the address of the first `Deno.serve` of a process, past its options. */
export const SERVE_ADDRESS_VARIABLE = "DENO_SERVE_ADDRESS";

/** Takes {@link SERVE_ADDRESS_VARIABLE} out of the process' environment. Does nothing where that is not permitted. */
export function forgetServeAddress(): void {
  try {
    Deno.env.delete(SERVE_ADDRESS_VARIABLE);
  } catch {
    // Then it cannot be helped.
  }
}

/**
 * How many file descriptors this process can still open, at most `most`: nothing that it may read says so, so it opens that many
 * and closes them at once (1 ms for 400). `null` where `/dev/null` cannot be opened for another reason.
 */
export function countFreeDescriptors(most: number): number | null {
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < most) files.push(Deno.openSync("/dev/null"));
  } catch (error) {
    if (!/too many open files/i.test((error as Error).message)) return null;
  } finally {
    for (const file of files) file.close();
  }
  return files.length;
}
