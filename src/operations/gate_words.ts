/** Every answer of every gate in plain words: one table from gate and reason to words. Pure. */
import type { GateStatus } from "../gates/board.ts";
import type { GateName, GateReason } from "../gates/gate.ts";

/** What a gate answered, as far as the words need it. */
export type Answered = Pick<GateStatus, "detail" | "status" | "failures">;

type Words = string | ((answered: Answered) => string);

/** What a source waits for while the gate is closed. */
export const WAITS_FOR: Readonly<Record<GateName, string>> = {
  enabled: "Switched off",
  redis: "Waiting for Redis",
  leader: "Waiting for a leader",
  pause: "Paused",
  window: "Closed by a window",
  job: "A job is running",
  consumer: "Waiting for the consumer",
  downstream: "Waiting for Moogsoft",
  breaker: "Waiting for the forwarder's circuit breaker",
  depth: "Waiting for room in the downstream queues",
  returns: "Waiting for the next canary group",
  pace: "Waiting for the pace",
};

const FAILED = "the check failed; the log has the cause";
const NOT_READ = "the source has not been read yet";

const GATE_WORDS: { readonly [Name in GateName]: Readonly<Record<GateReason<Name>, Words>> } = {
  enabled: {
    enabled: "replay is switched on",
    switched_off: "by REMEDIATION_ENABLED or the key remediation_enabled",
    unknown: "the dynamic configuration has not been read yet",
    error: FAILED,
  },
  redis: {
    connected: "Redis answers and allows moves",
    connecting: "it has not answered yet",
    oom: "it is out of memory",
    readonly: "the server is a replica and takes no writes",
    masterdown: "the replica has lost its master",
    loading: "it is loading its data",
    busy: "another client's script is running",
    noscript: "it has lost a script",
    noperm: "its user lacks a permission",
    noauth: "it wants a password",
    wrongpass: "it refuses the password",
    misconf: "it refuses writes because its last snapshot failed",
    noreplicas: "it has fewer replicas than it needs",
    clusterdown: "a slot of the cluster has no owner",
    tryagain: "a slot of the cluster is moving",
    moved: "a slot of the cluster has moved",
    ask: "a slot of the cluster is moving",
    wrongtype: "a key has another type than it should",
    denied: "it is in protected mode",
    maxclients: "it has too many clients",
    tls: "TLS failed",
    timeout: "it did not answer in time",
    connection: "the connection failed",
    other: "it refused a call",
    error: FAILED,
  },
  leader: {
    off: "leader election is off",
    leader: "this instance leads",
    standby: "another instance leads",
    unknown: "it is not known which instance leads",
    error: FAILED,
  },
  pause: {
    none: "the source is not paused",
    paused: ({ detail }) => detail.replace(/^paused /, ""),
    unknown: NOT_READ,
    error: FAILED,
  },
  window: {
    none: "no window or freeze holds the source",
    inside: ({ detail }) => detail,
    outside: ({ detail }) => detail,
    frozen: ({ detail }) => detail,
    unknown: NOT_READ,
    error: FAILED,
  },
  job: {
    none: "no job runs",
    running: ({ detail }) => detail,
    paused: ({ detail }) => detail,
    error: FAILED,
  },
  consumer: {
    off: "the consumer is not checked",
    alive: "the consumer is alive",
    gone: "its heartbeat is gone",
    unknown: "it is not known whether it is alive",
    never_seen: "no heartbeat has been seen yet",
    health_url_failed: "its health URL does not answer 200",
    drill: ({ detail }) => detail,
    error: FAILED,
  },
  downstream: {
    disabled: "Moogsoft is not probed",
    no_url: "Moogsoft is not probed, because no URL is set",
    unknown: "the first probe has no result yet",
    healthy: "Moogsoft accepts events",
    probe_rejected: (answered) => `${withStatus(answered)}, so check the settings`,
    probe_202: (answered) => `${withStatus(answered)}, which the forwarder treats as a failure`,
    unhealthy: withStatus,
    tls: (answered) => `the certificate or the TLS connection ${failed(answered)}`,
    timeout: (answered) => `${probes(answered)} got no answer in time`,
    unreachable: (answered) => `${probes(answered)} could not reach it`,
    refused: (answered) => `it refused the connection of ${probes(answered)}`,
    dns: (answered) => `its name could not be resolved by ${probes(answered)}`,
    proxy: (answered) => `the proxy failed ${probes(answered)}`,
    drill: ({ detail }) => detail,
    error: FAILED,
  },
  breaker: {
    disabled: "the circuit breaker is not used",
    unknown: "its keys have not been read yet",
    closed: "the circuit breaker is closed",
    absent: "there is no circuit breaker's state, so it counts as closed",
    abandoned: "the circuit breaker has not changed for too long and is ignored",
    open: "it is open",
    canary: "it lets one message through",
    canary_sent: "its one message has been sent",
    error: FAILED,
  },
  depth: {
    no_limit: "the depth of the downstream queues is not limited",
    unknown: "their length could not be read",
    room: "the downstream queues have room",
    over_limit: "they hold as many messages as their limit allows",
    drill: ({ detail }) => detail,
    error: FAILED,
  },
  returns: {
    unknown: NOT_READ,
    healthy: "the brake limits nothing",
    canary: "only a canary group is replayed",
    ramping: "the amount of a cycle grows step by step",
    common_failure: "the last replayed messages came back",
    error: FAILED,
  },
  pace: {
    no_limit: "the pace is not limited",
    unknown: "it is not known how much may go",
    room: "the pace has room",
    no_room: "as many messages as it allows have gone",
    error: FAILED,
  },
};

/** Returns the words for a gate's answer. */
export function gateWords({ name, reason, ...answered }: Answered & Pick<GateStatus, "name" | "reason">): string {
  const words = (GATE_WORDS[name] as Readonly<Record<string, Words>>)[reason] ?? reason;
  return typeof words === "string" ? words : words(answered);
}

function withStatus({ status, failures = 1 }: Answered): string {
  const seen = status === undefined ? "it answered with an error" : `it answered ${status}`;
  return `${seen} to ${probes({ failures })}`;
}

function probes({ failures = 1 }: Pick<Answered, "failures">): string {
  return failures === 1 ? "the last probe" : `the last ${failures.toLocaleString("en-US")} probes`;
}

function failed(answered: Answered): string {
  return `failed for ${probes(answered)}`;
}
