/** Every operation, in display order. */
import { browse } from "./browse.ts";
import { check } from "./check.ts";
import { config } from "./config.ts";
import { edit } from "./edit.ts";
import { exportMessages } from "./export.ts";
import { groups } from "./groups.ts";
import { importMessages } from "./import.ts";
import { journal } from "./journal.ts";
import { explain } from "./explain.ts";
import { once } from "./once.ts";
import { pause } from "./pause.ts";
import { release } from "./release.ts";
import { replayNow } from "./replay_now.ts";
import { resume } from "./resume.ts";
import { search } from "./search.ts";
import { show } from "./show.ts";
import { slo } from "./slo.ts";
import { status } from "./status.ts";
import { verify } from "./verify.ts";

/** All operations. To add one, write its file and list it here. */
export const OPERATIONS = [
  ...[status, explain, slo] as const,
  ...[browse, search, groups, show, exportMessages, journal, verify] as const,
  ...[pause, resume, release, replayNow] as const,
  ...[edit, importMessages] as const,
  ...[check, config, once] as const,
] as const;
