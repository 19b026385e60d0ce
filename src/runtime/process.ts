/** The only module that accesses the environment, files and the process. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import { cpuUsage } from "node:process";
import { SYSTEM_CLOCK } from "./clock.ts";
import { DroppingWriter } from "./dropping_writer.ts";
import { createId } from "./random.ts";

/**
 * Proxy variables of the runtime's own `fetch`, which would proxy even loopback and ignores `host:port` in `NO_PROXY`.
 */
const PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
/** Proxy variables removed from the environment. */
const taken: Record<string, string> = {};

/**
 * Returns all environment variables. Removes the proxy variables from the process's environment, so that only our
 * settings decide which requests use a proxy.
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

/** Returns the variables with a value that is not UTF-8. {@link readEnvironment} omits them. */
export function findUnreadable(names: readonly string[]): string[] {
  return names.filter((name) => {
    try {
      Deno.env.has(name);
      return false;
    } catch (error) {
      // The error's message contains the value, so it must not be logged.
      return error instanceof Deno.errors.InvalidData;
    }
  });
}

/** Largest file read whole, in bytes: settings, a secret, certificates. */
export const MAX_FILE_BYTES = 1_048_576;

/** A file's text, its owner's user id and its permission bits. */
export interface TextFile {
  readonly text: string;
  readonly ownerId: number;
  readonly mode: number;
}

/**
 * Reads a regular file of at most `maxBytes` (default {@link MAX_FILE_BYTES}). Invalid UTF-8 becomes U+FFFD. Opens the
 * file without blocking and then checks its type, so a pipe or device never blocks.
 * @throws an error named after the reason: `NotFound`, `PermissionDenied`, `NotAFile` (with `isFolder`),
 * `FileTooLarge`, …
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

/** Returns the text of {@link readFile}. */
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

/** Deno's error names, by system error code. */
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

/** Reads a file like {@link readFile}. Returns `undefined` if it does not exist. */
export function readFileIfAny(path: string): TextFile | undefined {
  try {
    return readFile(path);
  } catch (error) {
    if (error instanceof Error && error.name === "NotFound") return undefined;
    throw error;
  }
}

/** Reads a file embedded by `deno compile`; `undefined` if it does not exist. Embedded files have no owner or mode. */
export function readEmbedded(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Replaces a file, in one step, by one that only this user can read. A symbolic link is replaced, not followed. Returns whether
 * that was possible.
 */
export function writePrivateFile(path: string, text: string): boolean {
  const draft = createDraft(path, text);
  if (draft === null) return false;
  try {
    Deno.renameSync(draft, path);
    return true;
  } catch {
    removeFile(draft);
    return false;
  }
}

/** Whether {@link writePrivateFile} can create a file at this path. The file that is there stays as it is. */
export function canWritePrivateFile(path: string): boolean {
  const draft = createDraft(path, "");
  if (draft !== null) removeFile(draft);
  return draft !== null;
}

/** Creates a private file beside `path` and returns its path; `null` if that is not possible. */
function createDraft(path: string, text: string): string | null {
  const draft = `${path}.${createId()}`;
  try {
    Deno.writeTextFileSync(draft, text, { mode: 0o600, createNew: true });
    return draft;
  } catch {
    removeFile(draft);
    return null;
  }
}

/** Removes a file, if it exists and that is permitted. */
export function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It does not exist, or the process may not remove it.
  }
}

/** Returns the permission bits of a file; 0 if they cannot be read. */
export function fileMode(path: string): number {
  try {
    return (Deno.statSync(path).mode ?? 0) & 0o7777;
  } catch {
    return 0;
  }
}

/** Returns the user id of this process; `null` if reading it is not permitted. */
export function ownUserId(): number | null {
  try {
    return Deno.uid();
  } catch {
    return null;
  }
}

/** Returns an absolute path. */
export function absolutePath(path: string): string {
  return resolve(path);
}

/** Thrown if writing to standard output fails, usually because the disk is full. */
export class OutputError extends Error {
  override readonly name = "OutputError";
}

/**
 * Writes all text to standard output, unbuffered. If the reader has closed (`| head`), drops the rest without an error.
 * @throws {@link OutputError}
 */
export function writeOut(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return;
    throw new OutputError(`cannot write to standard output: ${error instanceof Error ? error.message : error}`);
  }
}

/** A log without a reader (a full pipe, a stopped terminal) must not stop the service. */
const err = new DroppingWriter({ write: (bytes) => Deno.stderr.write(bytes) });

/** Queues a text for standard error, in order. Never waits. Drops and counts text if the reader is too slow. */
export function writeErr(text: string): void {
  err.write(text);
}

/** Waits until all queued text is on standard error, at most `timeoutMs`. Call it before the process exits. */
export async function flushErr(timeoutMs: number): Promise<void> {
  const flushed = new AbortController();
  await Promise.race([err.flush().finally(() => flushed.abort()), SYSTEM_CLOCK.sleep(timeoutMs, flushed.signal)]);
}

/** Returns the number of texts for standard error dropped so far. */
export function droppedErr(): number {
  return err.dropped;
}

/** Calls `listener` when standard error accepts text again, with the number of texts dropped since the last call. */
export function onErrResumed(listener: (dropped: number) => void): void {
  err.onResumed(listener);
}

/** Whether standard error is a terminal. If so, logs are text. */
export function isErrTerminal(): boolean {
  return Deno.stderr.isTerminal();
}

/** Interval of the check for the `npx` wrapper, in milliseconds. */
const WRAPPER_EVERY_MS = 500;

/**
 * Calls `listener` once when the `npx` wrapper of this process has exited. The wrapper forwards no signals, so without
 * this check the process would outlive it. Does nothing without npx.
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

/** Variable that npm sets to the running command. */
export const NPX_VARIABLE = "npm_command";

/** Resource usage and start time of this process. */
export interface ProcessUsage {
  readonly residentBytes: number;
  /** User plus system time. */
  readonly cpuSeconds: number;
  /** Seconds since the epoch. */
  readonly startedAtSeconds: number;
}

/** Reads the process's resource usage. Needs no permission. */
export function readProcessUsage(): ProcessUsage {
  const { user, system } = cpuUsage();
  return {
    residentBytes: Deno.memoryUsage().rss,
    cpuSeconds: (user + system) / 1e6,
    startedAtSeconds: performance.timeOrigin / 1000,
  };
}

/** Variable that overrides the address of a process's first `Deno.serve`, regardless of its options. */
export const SERVE_ADDRESS_VARIABLE = "DENO_SERVE_ADDRESS";

/** Removes {@link SERVE_ADDRESS_VARIABLE} from the environment. Does nothing if that is not permitted. */
export function forgetServeAddress(): void {
  try {
    Deno.env.delete(SERVE_ADDRESS_VARIABLE);
  } catch {
    // Not permitted: nothing else can be done.
  }
}

/**
 * Counts the file descriptors that this process can still open, up to `most`. No readable source gives the number, so
 * it opens `/dev/null` that many times and closes it again (1 ms for 400). `null` if `/dev/null` fails for another
 * reason.
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
