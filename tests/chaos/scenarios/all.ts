/** Every chaos scenario. */
import type { Scenario } from "../harness/scenario.ts";
import { FOREIGN_ACTORS } from "./foreign_actors.ts";
import { JOB_KILL } from "./job_kill.ts";
import { MOOGSOFT } from "./moogsoft.ts";
import { MOOGSOFT_SERVICE } from "./moogsoft_service.ts";
import { NETWORK } from "./network.ts";
import { RECORD_BESIDE } from "./record_beside.ts";
import { REDIS_FAULTS } from "./redis_faults.ts";
import { REDIS_KILL } from "./redis_kill.ts";
import { SERVICE_KILL } from "./service_kill.ts";
import { SERVICE_SIGNALS } from "./service_signals.ts";
import { SOAK } from "./soak.ts";

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  SERVICE_KILL,
  SERVICE_SIGNALS,
  JOB_KILL,
  REDIS_KILL,
  REDIS_FAULTS,
  NETWORK,
  FOREIGN_ACTORS,
  RECORD_BESIDE,
  MOOGSOFT,
  MOOGSOFT_SERVICE,
  SOAK,
];
