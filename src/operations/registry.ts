/** Every operation, in display order. */
import { browse } from "./browse.ts";
import { check } from "./check.ts";
import { config } from "./config.ts";
import { replayNow } from "./replay_now.ts";
import { show } from "./show.ts";
import { slo } from "./slo.ts";
import { status } from "./status.ts";

/** All operations. To add one, write its file and list it here. */
export const OPERATIONS = [status, slo, browse, show, check, config, replayNow] as const;
