/** Parses and checks compose files. */
import { statSync } from "node:fs";
import { ROOT } from "../scripts/child.ts";
import { DEFAULT_SETTINGS, knownVariables } from "../src/config/fields.ts";

/** The parts of a service that tests check. */
export interface ComposeService {
  image?: string;
  build?: { context?: string; target?: string };
  container_name?: string;
  user?: string;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  restart?: string;
  profiles?: string[];
  command?: string | string[];
  environment?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  networks?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
  stop_grace_period?: string;
  logging?: { options?: Record<string, string> };
  deploy?: { resources?: { limits?: Record<string, unknown> } };
}

/** A compose file. */
export interface ComposeFile {
  name?: string;
  services: Record<string, ComposeService>;
  networks?: Record<string, { name?: string } | null>;
  volumes?: Record<string, unknown>;
}

/** Splits a service's command into words. */
export function commandOf({ command = [] }: ComposeService): string[] {
  return typeof command === "string" ? command.split(" ") : command;
}

/** Names of the services that start with this one, in no order. */
export function startedWith(file: ComposeFile, name: string): string[] {
  return [name, ...Object.keys(file.services[name]?.depends_on ?? {}).flatMap((one) => startedWith(file, one))];
}

/** Finds problems in a compose file that its schema does not cover; empty if there are none. */
export function findComposeProblems(file: ComposeFile): string[] {
  return Object.entries(file.services).flatMap(([name, service]) =>
    [
      ...checkHardening(service),
      ...checkImage(service),
      ...checkDependencies(service, file),
      ...checkMounts(service, file),
      ...checkPorts(service),
      ...(name === "remediation" ? checkRemediation(service) : []),
    ].map((problem) => `${name} ${problem}`)
  );
}

function checkHardening(service: ComposeService): string[] {
  const { limits } = service.deploy?.resources ?? {};
  const isMissing: [problem: string, isMissing: boolean][] = [
    ["may write to its root", service.read_only !== true],
    ["keeps capabilities", service.cap_drop?.join() !== "ALL"],
    ["may gain privileges", !service.security_opt?.includes("no-new-privileges:true")],
    ["is not restarted", service.restart !== "unless-stopped"],
    ["may fill the disk with logs", !service.logging?.options?.["max-size"] || !service.logging.options["max-file"]],
    ["has no limits", !limits?.memory || !limits.cpus || !limits.pids],
    ["is on another network", service.networks?.join() !== "mutt-network"],
  ];
  return isMissing.flatMap(([problem, is]) => is ? [problem] : []);
}

function checkImage({ image = "", build }: ComposeService): string[] {
  const isPinned = /:v?\d+\.\d+\.\d+(-[a-z]+)?$/.test(image);
  return [
    ...(isPinned ? [] : [`runs ${image || "an image without a name"}, which is not pinned`]),
    ...(build && !build.target ? ["is built without a target"] : []),
  ];
}

function checkDependencies({ depends_on = {} }: ComposeService, { services }: ComposeFile): string[] {
  return Object.entries(depends_on).flatMap(([name, { condition }]) =>
    condition === "service_healthy" && services[name]?.healthcheck ? [] : [`cannot know when ${name} is healthy`]
  );
}

function checkMounts({ volumes = [] }: ComposeService, file: ComposeFile): string[] {
  return volumes.flatMap((volume) => {
    const [source = "", , mode] = volume.split(":");
    if (!source.startsWith(".")) return source in (file.volumes ?? {}) ? [] : [`mounts a volume ${source} of nobody`];
    return [
      ...(statSync(ROOT + source, { throwIfNoEntry: false }) ? [] : [`mounts ${source}, which is not there`]),
      ...(mode === "ro" ? [] : [`may write to ${source}`]),
    ];
  });
}

/** No service requires a password, so none may publish a port to all addresses by default. */
function checkPorts({ ports = [] }: ComposeService): string[] {
  return ports.filter((port) => !/^\$\{MUTT_PUBLISH_ADDRESS:-127\.0\.0\.1\}:(\d+):\1$/.test(port))
    .map((port) => `publishes ${port}`);
}

function checkRemediation({ environment = {}, stop_grace_period = "10s" }: ComposeService): string[] {
  const known = new Set(knownVariables());
  const stopSeconds = Number(environment.REMEDIATION_SHUTDOWN_TIMEOUT ?? DEFAULT_SETTINGS.shutdownTimeoutMs / 1_000);
  return [
    ...Object.keys(environment).filter((name) => !known.has(name)).map((name) => `sets ${name}, which nobody reads`),
    ...(Number.parseInt(stop_grace_period) > stopSeconds ? [] : ["is killed before it has stopped"]),
  ];
}
