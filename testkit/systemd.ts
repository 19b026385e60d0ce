/** Runs a separate systemd as process 1 in its own namespaces, with this machine's `/usr` (`systemd_boot.sh`). */
import { Redis } from "ioredis";
import { ROOT } from "../scripts/child.ts";
import { findRedisServer } from "../scripts/redis_server.ts";
import { waitUntil } from "./wait.ts";

const BOOT = `${ROOT}testkit/systemd_boot.sh`;
const UNSHARE = ["--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "--net"];

/** Result of a command inside. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running systemd. Use it with `await using`, which kills everything in it. */
export interface Systemd extends AsyncDisposable {
  /** Runs shell lines inside, in `/src`, with any exit code; `sudo` only runs its arguments. */
  tryShell(script: string): Promise<Ran>;
  /** Like {@link Systemd.tryShell}, but throws with all output if the last command fails. @returns standard output. */
  shell(script: string): Promise<string>;
  /** A unit's property from `systemctl show`. */
  property(unit: string, name: string): Promise<string>;
  /** Path outside of a path inside. */
  path(inside: string): string;
  /** Writes a file inside and creates its folders. */
  write(inside: string, text: string, mode?: number): void;
  /** Starts a Redis inside, on port 6379 and `/run/redis/redis.sock`, and connects to it. */
  startRedis(): Promise<Redis>;
}

/** Why systemd cannot start here, or `null`. */
export async function whyNoSystemd(): Promise<string | null> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "not root on Linux";
  if (!exists("/usr/lib/systemd/systemd")) return "there is no systemd";
  try {
    // Containers mostly forbid mounting.
    const { success } = await new Deno.Command("unshare", {
      args: [...UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success ? null : "namespaces and mounts are forbidden";
  } catch {
    return "there is no unshare";
  }
}

/** Starts systemd. `shared`: this machine's files and folders to mount besides `/usr`, by path inside. */
export async function startSystemd(shared: Readonly<Record<string, string>>): Promise<Systemd> {
  const root = Deno.makeTempDirSync({ prefix: "systemd-" });
  const pairs = Object.entries({ ...shared, "/opt/redis-server": await findRedisServer() });
  const boot = new Deno.Command(BOOT, {
    args: [root, `mutt-test-${crypto.randomUUID().slice(0, 8)}`, ...pairs.map(([to, from]) => `${from}:${to}`)],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const systemd = new Booted(boot, root);
  try {
    await systemd.waitUntilUp();
    return systemd;
  } catch (error) {
    await systemd[Symbol.asyncDispose]();
    throw error;
  }
}

class Booted implements Systemd {
  readonly #boot: Deno.ChildProcess;
  readonly #root: string;
  readonly #clients: Redis[] = [];
  readonly #output: Promise<string>;
  #pid = 0;

  constructor(boot: Deno.ChildProcess, root: string) {
    this.#boot = boot;
    this.#root = root;
    this.#output = new Response(boot.stdout).text();
  }

  async waitUntilUp(): Promise<void> {
    let ended = false;
    this.#boot.status.then(() => ended = true);
    // The boot script becomes `unshare`, whose only child becomes systemd.
    const children = `/proc/${this.#boot.pid}/task/${this.#boot.pid}/children`;
    this.#pid = await waitUntil(() => {
      if (ended) throw new Error("systemd_boot.sh ended");
      const pid = Number(readIfAny(children).trim().split(" ")[0]);
      return pid > 0 && readIfAny(`/proc/${pid}/comm`).trim() === "systemd" ? pid : 0;
    }, { what: "systemd is process 1", timeoutMs: 20_000 });
    await waitUntil(async () => {
      if (ended) throw new Error("systemd ended");
      return (await this.tryShell("systemctl is-system-running")).stdout.trim() === "running";
    }, { what: "systemd is up", timeoutMs: 30_000 });
  }

  async tryShell(script: string): Promise<Ran> {
    const { code, stdout, stderr } = await new Deno.Command("nsenter", {
      args: ["--target", `${this.#pid}`, "--all", "--", "sh", "-c", `sudo() { "$@"; }; cd /src\n${script}`],
      env: { PATH: "/usr/local/bin:/usr/bin:/usr/sbin", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" },
      clearEnv: true,
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  async shell(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.tryShell(`set -e\n${script}`);
    if (code !== 0) throw new Error(`exit ${code}:\n${script}\n${stdout}${stderr}`);
    return stdout;
  }

  async property(unit: string, name: string): Promise<string> {
    return (await this.shell(`systemctl show --value -p ${name} ${unit}`)).trim();
  }

  path(inside: string): string {
    return `/proc/${this.#pid}/root${inside}`;
  }

  write(inside: string, text: string, mode = 0o644): void {
    Deno.mkdirSync(this.path(inside.slice(0, inside.lastIndexOf("/"))), { recursive: true });
    Deno.writeTextFileSync(this.path(inside), text, { mode });
  }

  async startRedis(): Promise<Redis> {
    const socket = "/run/redis/redis.sock";
    await this.shell(
      `systemd-run --quiet --unit=redis -p RuntimeDirectory=redis \
        /opt/redis-server --save '' --port 6379 --unixsocket ${socket} --unixsocketperm 777`,
    );
    await waitUntil(() => exists(this.path(socket)), { what: "Redis listens" });
    const client = new Redis({ path: this.path(socket), replyMapping: "legacy" });
    client.on("error", () => {}); // commands still reject
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    // Killing process 1 kills everything in its namespace.
    for (const pid of [this.#pid, this.#boot.pid]) if (pid > 0) kill(pid);
    await this.#boot.status;
    const branches = (await this.#output).split("\n").filter((line) => line.startsWith("/sys/fs/cgroup/"));
    for (const branch of branches) await waitUntil(() => removeBranch(branch), { what: `${branch} is empty` });
    Deno.removeSync(this.#root);
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** Removes empty control groups from the leaves up. */
function removeBranch(path: string): boolean {
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (isDirectory && !removeBranch(`${path}/${name}`)) return false;
  }
  try {
    Deno.removeSync(path);
    return true;
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function readIfAny(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
