/** Every operation, in display order. */
import { bury } from "./bury.ts";
import { jobs } from "./jobs.ts";
import { jobsCancel } from "./jobs_cancel.ts";
import { jobsConfirm } from "./jobs_confirm.ts";
import { jobsPause } from "./jobs_pause.ts";
import { jobsResume } from "./jobs_resume.ts";
import { jobsShow } from "./jobs_show.ts";
import { jobsUndo } from "./jobs_undo.ts";
import { purge } from "./purge.ts";
import { redrive } from "./redrive.ts";
import { revive } from "./revive.ts";
import { browse } from "./browse.ts";
import { check } from "./check.ts";
import { config } from "./config.ts";
import { discover } from "./discover.ts";
import { drill } from "./drill.ts";
import { drills } from "./drills.ts";
import { drillsCancel } from "./drills_cancel.ts";
import { drillsShow } from "./drills_show.ts";
import { edit } from "./edit.ts";
import { exportMessages } from "./export.ts";
import { freeze } from "./freeze.ts";
import { groups } from "./groups.ts";
import { importMessages } from "./import.ts";
import { history } from "./history.ts";
import { incidents } from "./incidents.ts";
import { journal } from "./journal.ts";
import { explain } from "./explain.ts";
import { log } from "./log.ts";
import { receivers } from "./receivers.ts";
import { testReceiver } from "./test_receiver.ts";
import { once } from "./once.ts";
import { pause } from "./pause.ts";
import { release } from "./release.ts";
import { replayNow } from "./replay_now.ts";
import { replicas } from "./replicas.ts";
import { resume } from "./resume.ts";
import { returnOversize } from "./return_oversize.ts";
import { search } from "./search.ts";
import { show } from "./show.ts";
import { slo } from "./slo.ts";
import { settings } from "./settings.ts";
import { status } from "./status.ts";
import { unfreeze } from "./unfreeze.ts";
import { verify } from "./verify.ts";

/** All operations. To add one, write its file and list it here. */
export const OPERATIONS = [
  ...[status, explain, incidents, slo, history, replicas, settings] as const,
  ...[browse, search, groups, show, exportMessages, journal, verify, log] as const,
  ...[pause, resume, freeze, unfreeze, release, replayNow, returnOversize] as const,
  ...[receivers, testReceiver] as const,
  ...[redrive, bury, revive, purge, edit, importMessages] as const,
  ...[jobs, jobsShow, jobsConfirm, jobsPause, jobsResume, jobsCancel, jobsUndo] as const,
  ...[drill, drills, drillsShow, drillsCancel] as const,
  ...[check, config, discover, once] as const,
] as const;
