/**
 * Defines the service's spans and their attributes, by OpenTelemetry's semantic conventions 1.45 for messaging (not
 * stable yet) and HTTP clients. Attributes outside the conventions begin with `mutt.remediation.`. docs/tracing.md
 * lists them all.
 */
import type { SourcePolicy } from "../message/source_policy.ts";
import type { SpanAttributes, SpanSpec } from "./tracing.ts";

const SYSTEM = { "messaging.system": "redis" };

/** Span of a turn that starts a cycle or moves messages. */
export function cycleSpan({ name, dlq }: SourcePolicy): SpanSpec {
  return {
    name: `cycle ${dlq}`,
    kind: "internal",
    isLazy: true,
    attributes: {
      ...SYSTEM,
      "messaging.operation.name": "cycle",
      "messaging.operation.type": "process",
      "messaging.destination.name": dlq,
      "mutt.remediation.source": name,
    },
  };
}

/** Results of a turn. */
export interface CycleFacts {
  readonly cycle: number;
  readonly depth: number;
  readonly replayed: number;
  readonly dead: number;
  readonly conflicts: number;
  readonly stoppedBy: string;
}

/** Returns the attributes set at the end of a turn. */
export function cycleFacts({ cycle, depth, replayed, dead, conflicts, stoppedBy }: CycleFacts): SpanAttributes {
  return {
    "messaging.batch.message_count": replayed + dead,
    "mutt.remediation.cycle": cycle,
    "mutt.remediation.depth": depth,
    "mutt.remediation.replayed": replayed,
    "mutt.remediation.dead": dead,
    "mutt.remediation.conflicts": conflicts,
    "mutt.remediation.stopped_by": stoppedBy,
  };
}

/** Span of one chunk's commit. `destination`: the list that its messages, or the replayed ones of them, go to. */
export function commitSpan(
  { name, dlq }: SourcePolicy,
  chunk: { readonly destination: string; readonly replayed: number; readonly dead: number; readonly bytes: number },
): SpanSpec {
  const { destination } = chunk;
  return {
    name: `commit ${destination}`,
    kind: "client",
    attributes: {
      ...SYSTEM,
      "messaging.operation.name": "commit",
      "messaging.operation.type": "send",
      "messaging.destination.name": destination,
      "messaging.batch.message_count": chunk.replayed + chunk.dead,
      "mutt.remediation.source": name,
      "mutt.remediation.dlq": dlq,
      "mutt.remediation.replayed": chunk.replayed,
      "mutt.remediation.dead": chunk.dead,
      "mutt.remediation.bytes": chunk.bytes,
    },
  };
}

/** Returns the attribute for a commit's result. */
export function commitResult(result: string): SpanAttributes {
  return { "mutt.remediation.result": result };
}

/** Span of one probe. It is a separate trace, because its answer serves every source and replica. */
export function probeSpan(url: URL): SpanSpec {
  const { protocol, hostname, pathname, port } = url;
  return {
    name: "POST",
    kind: "client",
    isRoot: true,
    attributes: {
      "http.request.method": "POST",
      // Without credentials and query, which may hold a key.
      "url.full": `${protocol}//${url.host}${pathname}`,
      "server.address": hostname,
      "server.port": Number(port || (protocol === "https:" ? 443 : 80)),
    },
  };
}

/** Returns the attribute for a probe's HTTP status. */
export function answeredWith(status: number): SpanAttributes {
  return { "http.response.status_code": status };
}
