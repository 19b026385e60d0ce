/** Every operation, in the order in which they are shown. Commands and ports render what is listed here. */
import { check } from "./check.ts";
import { config } from "./config.ts";
import { replayNow } from "./replay_now.ts";
import { slo } from "./slo.ts";
import { status } from "./status.ts";

/** One of {@link OPERATIONS}. */
export type KnownOperation = (typeof OPERATIONS)[number];

/** The list. To add an operation, write its file and name it here. */
export const OPERATIONS = [status, slo, check, config, replayNow] as const;
