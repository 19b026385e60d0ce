/** Operation `log`: the newest log lines of the instance that answers. Does no IO. */
import Type, { type Static } from "typebox";
import { LOG_LEVELS } from "../observability/log.ts";
import { toIso } from "../runtime/clock.ts";
import type { ServiceContext } from "./context.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object({
  level: Type.Optional(Type.Enum([...LOG_LEVELS], { default: "INFO", description: "Lowest level" })),
  event: Type.Optional(Type.String({ pattern: "^[a-z0-9_]{1,64}$", description: "Only lines of this event" })),
  size: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 50, description: "Most lines" })),
}, { additionalProperties: false });
/** Input of the operation. */
export type LogInput = Static<typeof INPUT>;

const OUTPUT = Type.Object({
  /** The instance that has logged them. */
  pod: Type.String(),
  /** Oldest first. Instants are ISO 8601. */
  lines: Type.Array(Type.Object({
    at: Type.String(),
    level: Type.Enum([...LOG_LEVELS]),
    event: Type.String(),
    message: Type.String(),
  }, { additionalProperties: false })),
}, { additionalProperties: false });
/** Output of the operation. */
export type LogOutput = Static<typeof OUTPUT>;

/** Reads the log's memory, which begins with the process and has no more than LOG_LEVEL lets through. */
export const log = {
  name: "log",
  summary: "The newest log lines of the instance that answers",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/log" },
  run({ recentLog, podName }: ServiceContext, input: LogInput): LogOutput {
    const { level = "INFO", event = null, size = 50 } = input;
    const lines = recentLog.read({ level, event, size });
    return { pod: podName, lines: lines.map(({ atMs, ...line }) => ({ at: toIso(atMs), ...line })) };
  },
} satisfies Operation<ServiceContext, LogInput, LogOutput>;
