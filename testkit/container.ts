/** Runs containers of the image that `deno task test:image` builds (scripts/image.ts). */

/** Tag of the image; empty if the task built none. */
export const IMAGE: string = Deno.env.get("MUTT_REMEDIATION_IMAGE") ?? "";
/** Tag of the image of `compose.yaml`'s mock Moogsoft. */
export const DEMO_IMAGE: string = Deno.env.get("MUTT_REMEDIATION_DEMO_IMAGE") ?? "";
const ENGINE = Deno.env.get("MUTT_REMEDIATION_ENGINE") ?? "";

/**
 * Flags as in `k8s/`. The user is the image's. It uses the host's network, where the test's Redis runs, and limits on
 * files and processes, because an engine's defaults exceed what some machines allow.
 */
export const AS_DEPLOYED: readonly string[] = [
  "--read-only",
  ...ENGINE === "podman" ? ["--read-only-tmpfs=false"] : [], // the default would make /tmp writable
  "--cap-drop=ALL",
  "--security-opt=no-new-privileges",
  "--memory=256m",
  "--cpus=0.5",
  "--network=host",
  "--ulimit=nofile=1024:1024",
  "--ulimit=nproc=1024:1024",
];

/** Like {@link AS_DEPLOYED}, but with a writable file system. */
export const WRITABLE: readonly string[] = AS_DEPLOYED.filter((flag) => !flag.startsWith("--read-only"));

/** Result of an engine command. */
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

/** Inspects an image or a container. */
export async function inspect(type: "image" | "container", name: string): Promise<Inspected> {
  const { code, stdout, stderr } = await engine("inspect", `--type=${type}`, name);
  if (code !== 0) throw new Error(`${ENGINE} knows no ${type} ${name}: ${stderr}`);
  return JSON.parse(stdout)[0];
}

/** The members that Docker and Podman share. */
export interface Inspected {
  readonly Config: {
    readonly User: string;
    readonly ExposedPorts?: Record<string, unknown>;
    readonly Entrypoint?: readonly string[] | null;
    readonly Labels: Record<string, string>;
    readonly Healthcheck?: { readonly Test: readonly string[] };
  };
  readonly State: { readonly Pid: number; readonly ExitCode: number; readonly OOMKilled: boolean };
}

/** A started container. Use it with `await using`, which removes it. */
export class Container implements AsyncDisposable {
  readonly #id: string;

  private constructor(id: string) {
    this.#id = id;
  }

  /** Starts an image. @throws Error with the engine's output */
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

  /** Runs a program in the container. `env`: variables beside the container's. */
  exec(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const variables = Object.entries(env).map(([name, value]) => `--env=${name}=${value}`);
    return engine("exec", ...variables, this.#id, ...command);
  }

  /** Sends the image's stop signal, waits up to 30 s, then kills. */
  async stop(): Promise<void> {
    await engine("stop", "--time=30", this.#id);
  }

  /** Waits until it ends by itself. @returns its exit code. */
  async exit(): Promise<number> {
    return Number((await engine("wait", this.#id)).stdout);
  }

  /** Inspects the container. */
  inspect(): Promise<Inspected> {
    return inspect("container", this.#id);
  }

  /** Output of both streams so far. */
  async logs(): Promise<string> {
    const { stdout, stderr } = await engine("logs", this.#id);
    return stdout + stderr;
  }

  /** Files that differ from the image, without those that the engine adds: `A /tmp/cache`. */
  async changes(): Promise<string[]> {
    const { stdout } = await engine("diff", this.#id);
    return stdout.split("\n").filter((line) => line !== "" && !/^[AC] \/etc(\/(passwd|group))?$/.test(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await engine("rm", "--force", this.#id);
  }
}
