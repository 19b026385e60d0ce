/**
 * `deno task test:image`: builds the image from the Dockerfile and runs `tests/image` on it.
 *
 * With Docker the build uses the base images of the Dockerfile. Without it, as root on Debian, it uses Podman (Buildah)
 * with a temporary store. That needs no image registry: substitutes for both base images, made of Debian's packages and
 * this Deno, have the names of the real ones. `docs/tested-with.md` lists the limits of this.
 */
import { onPath, ROOT, run } from "./child.ts";
import { describeCommit, PLATFORMS } from "./compile.ts";
import { hasApt, installPackages, refreshPackageLists, unpackPackages } from "./debian.ts";
import { formatTally, runSuites, SUITES } from "./test_run.ts";

/** Stages of the Dockerfile and the tags of their images in the tests. */
const IMAGES = { remediation: "mutt-remediation:test", demo: "mutt-remediation-demo:test" };

/** The contents of a distroless "cc" image that matter to a program. */
const BASE_PACKAGES = ["base-files", "libc6", "libgcc-s1", "netbase", "tzdata"];
/** Additional content of the image that compiles: a shell. */
const BUILD_PACKAGES = ["dash"];
/** The users of a distroless image. */
const PASSWD = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n" +
  "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
const GROUP = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n";
/** The certificates that this machine trusts, for builds behind a proxy with its own CA. */
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt", BUILD_CERTIFICATES = "/etc/certificates.pem";

/** Facts for choosing an engine. */
export interface Surroundings {
  readonly os: typeof Deno.build.os;
  readonly dockerAnswers: boolean;
  readonly hasPodman: boolean;
  readonly hasRunc: boolean;
  readonly hasApt: boolean;
  readonly isRoot: boolean;
  /** Whether the terminal is interactive. */
  readonly hasTerminal: boolean;
  /** Whether processes can have their own mount and PID namespaces; a container may forbid it. */
  readonly hasNamespaces: boolean;
}

/** The engine that builds and runs the image. */
export type Decision =
  | { readonly kind: "docker" | "podman" | "install" }
  | { readonly kind: "skip"; readonly why: string };

/**
 * Chooses an engine. Pure. Installs only as root without a terminal, as for Redis, so that it never changes a user's
 * machine.
 */
export function decideEngine(around: Surroundings): Decision {
  if (around.os !== "linux") return skip("containers must reach this machine's Redis, and do so only on Linux");
  if (around.dockerAnswers) return { kind: "docker" };
  if (!around.isRoot || !around.hasApt) return skip("this needs Docker, or to be root on Debian");
  if (!around.hasNamespaces) return skip("this needs Docker, or a system that allows namespaces (unshare)");
  if (around.hasPodman && around.hasRunc) return { kind: "podman" };
  return around.hasTerminal
    ? skip("this needs Docker, or Podman with runc: run  apt-get install podman runc")
    : { kind: "install" };
}

function skip(why: string): Decision {
  return { kind: "skip", why };
}

/** Builds and tests the image, or prints why not. The last line on stdout counts the tests. @returns an exit code. */
export async function testImage(): Promise<number> {
  const decision = decideEngine(await lookAround());
  if (decision.kind === "skip") {
    console.log(`The image is not built: ${decision.why}\n${formatTally({ passed: 0, failed: 0, skipped: 1 })}`);
    return 0;
  }
  const commit = await describeCommit();
  if (decision.kind === "docker") return await buildAndTest({ engine: "docker", env: {}, commit });
  if (decision.kind === "install") {
    console.log("No Podman with runc here: installing Debian's podman and runc");
    await installPackages(["podman", "runc"]);
  }
  const dir = await Deno.makeTempDir({ prefix: "image-" });
  try {
    const engine = { engine: "podman", env: await storeIn(dir), commit };
    console.log("The base images are substitutes made of Debian's packages, not the real ones");
    return await makeStandIns(dir, engine.env) || await buildAndTest(engine);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function lookAround(): Promise<Surroundings> {
  return {
    os: Deno.build.os,
    dockerAnswers: onPath("docker") !== undefined && await succeeds("docker", ["version"]),
    hasPodman: onPath("podman") !== undefined,
    hasRunc: onPath("runc") !== undefined,
    hasApt: hasApt(),
    isRoot: Deno.uid() === 0,
    hasTerminal: Deno.stdin.isTerminal(),
    hasNamespaces: onPath("unshare") !== undefined && await succeeds("unshare", ["--mount", "--pid", "--fork", "true"]),
  };
}

async function succeeds(program: string, args: string[]): Promise<boolean> {
  return (await new Deno.Command(program, { args, stdin: "null" }).output()).success;
}

async function buildAndTest(
  { engine, env, commit }: { engine: string; env: Record<string, string>; commit: string },
): Promise<number> {
  const startedAtMs = performance.now();
  for (const [stage, image] of Object.entries(IMAGES)) {
    const args = ["--target", stage, "--platform", ownPlatform(), "--build-arg", `BUILD_COMMIT=${commit}`];
    if (await run([engine, "build", ...args, "--tag", image, "."], { env }) !== 0) {
      console.error(`${engine} could not build the stage "${stage}"`);
      return 1;
    }
  }
  console.log(`Built in ${((performance.now() - startedAtMs) / 1000).toFixed(0)} s`);
  return await runSuites([SUITES.image], {
    env: {
      ...env,
      MUTT_REMEDIATION_ENGINE: engine,
      MUTT_REMEDIATION_IMAGE: IMAGES.remediation,
      MUTT_REMEDIATION_DEMO_IMAGE: IMAGES.demo,
      MUTT_REMEDIATION_COMMIT: commit,
    },
  });
}

function ownPlatform(): string {
  const { arch } = Deno.build;
  return Object.entries(PLATFORMS).find(([name, target]) => name.startsWith("linux/") && target.startsWith(arch))![0];
}

/** Settings that make Podman keep everything below a folder and need as little as possible from the machine. */
async function storeIn(dir: string): Promise<Record<string, string>> {
  const settings = `${dir}/storage.conf`;
  const driver = await canOverlay(dir) ? "overlay" : "vfs"; // vfs copies every layer
  const store = `driver = "${driver}"\ngraphroot = "${dir}/store"\nrunroot = "${dir}/run"`;
  await Deno.writeTextFile(settings, `[storage]\n${store}\n`);
  await Deno.mkdir(`${dir}/tmp`);
  // Podman prefers crun, which limits no memory where both versions of control groups are mounted.
  await Deno.writeTextFile(`${dir}/containers.conf`, '[engine]\nruntime = "runc"\n');
  return {
    CONTAINERS_CONF: `${dir}/containers.conf`,
    CONTAINERS_STORAGE_CONF: settings,
    TMPDIR: `${dir}/tmp`, // the build's cache
    BUILDAH_ISOLATION: "chroot",
    BUILDAH_FORMAT: "docker", // the OCI format has no HEALTHCHECK
  };
}

/** Whether overlay mounts work there; they fail if the folder is on an overlay itself, as in a container. */
async function canOverlay(dir: string): Promise<boolean> {
  const layers = ["lower", "upper", "work", "merged"].map((name) => `${dir}/overlay-${name}`);
  for (const layer of layers) await Deno.mkdir(layer);
  const [lower, upper, work, merged] = layers as [string, string, string, string];
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  return await succeeds("unshare", ["--mount", "mount", "-t", "overlay", "overlay", "-o", options, merged]);
}

/** Creates images with the names of the Dockerfile's base images. @returns an exit code. */
async function makeStandIns(dir: string, env: Record<string, string>): Promise<number> {
  const dockerfile = await Deno.readTextFile(`${ROOT}Dockerfile`);
  const nameOf = (arg: string) => new RegExp(`^ARG ${arg}=(\\S+)$`, "m").exec(dockerfile)?.[1] ?? "";
  await refreshPackageLists();

  const base = `${dir}/base`;
  await unpackPackages(BASE_PACKAGES, base);
  await Deno.writeTextFile(`${base}/etc/passwd`, PASSWD);
  await Deno.writeTextFile(`${base}/etc/group`, GROUP);

  const build = `${dir}/build`, denort = Deno.env.get("DENORT_BIN");
  await unpackPackages(BUILD_PACKAGES, build);
  for (const folder of ["etc", "usr/bin"]) await Deno.mkdir(`${build}/${folder}`, { recursive: true });
  await Deno.copyFile(Deno.execPath(), `${build}/usr/bin/deno`);
  await Deno.copyFile(CERTIFICATES, build + BUILD_CERTIFICATES);
  if (denort) await Deno.copyFile(denort, `${build}/usr/bin/denort`);
  const variables = `ENV DENO_CERT=${BUILD_CERTIFICATES}${denort ? " DENORT_BIN=/usr/bin/denort" : ""}`;

  const baseName = nameOf("BASE_IMAGE");
  return await makeImage({ name: baseName, folder: base, dockerfile: "FROM scratch\nCOPY / /\n", env }) ||
    await makeImage({
      name: nameOf("DENO_IMAGE"),
      folder: build,
      dockerfile: `FROM ${baseName}\nCOPY / /\n${variables}\n`,
      env,
    });
}

async function makeImage(
  { name, folder, dockerfile, env }: { name: string; folder: string; dockerfile: string; env: Record<string, string> },
): Promise<number> {
  await Deno.writeTextFile(`${folder}.Dockerfile`, dockerfile);
  return await run(["podman", "build", "--quiet", "--file", `${folder}.Dockerfile`, "--tag", name, folder], { env });
}
