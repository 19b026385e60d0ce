/** Every operation, in display order. */
import { browse } from "./browse.ts";
import { check } from "./check.ts";
import { config } from "./config.ts";
import { exportMessages } from "./export.ts";
import { groups } from "./groups.ts";
import { replayNow } from "./replay_now.ts";
import { search } from "./search.ts";
import { show } from "./show.ts";
import { slo } from "./slo.ts";
import { status } from "./status.ts";

/** All operations. To add one, write its file and list it here. */
export const OPERATIONS = [
  status,
  slo,
  browse,
  search,
  groups,
  show,
  exportMessages,
  check,
  config,
  replayNow,
] as const;
