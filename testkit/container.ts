/** Containers of the image that `deno task test:image` has built (scripts/image.ts). */

/** What the task has tagged the image as; empty where it did not build one. */
export const IMAGE: string = Deno.env.get("MUTT_REMEDIATION_IMAGE") ?? "";
/** The same for the image of `compose.yaml`'s mock Moogsoft. */
export const DEMO_IMAGE: string = Deno.env.get("MUTT_REMEDIATION_DEMO_IMAGE") ?? "";
const ENGINE = Deno.env.get("MUTT_REMEDIATION_ENGINE") ?? "";

/**
 * As `k8s/` deploys it. The user is not named: it is the image's own. The machine's network, because that is where the test's Redis
 * is; limits on files and processes, because an engine's own defaults are more than some machines grant.
 */
export const AS_DEPLOYED: readonly string[] = [
  "--read-only",
  ...ENGINE === "podman" ? ["--read-only-tmpfs=false"] : [], // which would make /tmp writable after all
  "--cap-drop=ALL",
  "--security-opt=no-new-privileges",
  "--memory=256m",
  "--cpus=0.5",
  "--network=host",
  "--ulimit=nofile=1024:1024",
  "--ulimit=nproc=1024:1024",
];

/** As {@link AS_DEPLOYED}, but what the program has a mind to write, it can. */
export const WRITABLE: readonly string[] = AS_DEPLOYED.filter((flag) => !flag.startsWith("--read-only"));

/** What a command of the engine came to. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the engine to its end. */
export async function engine(...args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(ENGINE, { args: [...args], stdin: "null" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** What the engine knows of an image or a container. */
export async function inspect(type: "image" | "container", name: string): Promise<Inspected> {
  const { code, stdout, stderr } = await engine("inspect", `--type=${type}`, name);
  if (code !== 0) throw new Error(`${ENGINE} knows no ${type} ${name}: ${stderr}`);
  return JSON.parse(stdout)[0];
}

/** The part that Docker and Podman call the same. */
export interface Inspected {
  readonly Config: {
    readonly User: string;
    readonly ExposedPorts?: Record<string, unknown>;
    readonly Labels: Record<string, string>;
    readonly Healthcheck?: { readonly Test: readonly string[] };
  };
  readonly State: { readonly Pid: number; readonly ExitCode: number; readonly OOMKilled: boolean };
}

/** A started container. Use it with `await using`, so that nothing is left of it. */
export class Container implements AsyncDisposable {
  readonly #id: string;

  private constructor(id: string) {
    this.#id = id;
  }

  /** Starts an image. @throws Error with what the engine says. */
  static async start(
    { image = IMAGE, flags, env = {}, args = [] }: {
      image?: string;
      flags: readonly string[];
      env?: Readonly<Record<string, string>>;
      args?: readonly string[];
    },
  ): Promise<Container> {
    const variables = Object.entries(env).map(([name, value]) => `--env=${name}=${value}`);
    const { code, stdout, stderr } = await engine("run", "--detach", ...flags, ...variables, image, ...args);
    if (code !== 0) throw new Error(`The container did not start: ${stderr}`);
    return new Container(stdout.trim());
  }

  /** Runs a program in it. */
  exec(command: readonly string[]): Promise<Outcome> {
    return engine("exec", this.#id, ...command);
  }

  /** Sends the image's stop signal, waits up to 30 s, then kills. */
  async stop(): Promise<void> {
    await engine("stop", "--time=30", this.#id);
  }

  /** Waits until it has ended by itself. @returns its exit code. */
  async exit(): Promise<number> {
    return Number((await engine("wait", this.#id)).stdout);
  }

  /** What the engine knows of it. */
  inspect(): Promise<Inspected> {
    return inspect("container", this.#id);
  }

  /** Output so far, of both streams. */
  async logs(): Promise<string> {
    const { stdout, stderr } = await engine("logs", this.#id);
    return stdout + stderr;
  }

  /** Files that are not as the image has them, but for those that the engine itself adds: `A /tmp/cache`. */
  async changes(): Promise<string[]> {
    const { stdout } = await engine("diff", this.#id);
    return stdout.split("\n").filter((line) => line !== "" && !/^[AC] \/etc(\/(passwd|group))?$/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await engine("rm", "--force", this.#id);
  }
}
