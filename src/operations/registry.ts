/** Every operation, in display order. */
import { check } from "./check.ts";
import { config } from "./config.ts";
import { journal } from "./journal.ts";
import { replayNow } from "./replay_now.ts";
import { slo } from "./slo.ts";
import { status } from "./status.ts";
import { verify } from "./verify.ts";

/** All operations. To add one, write its file and list it here. */
export const OPERATIONS = [status, slo, check, config, replayNow, journal, verify] as const;
