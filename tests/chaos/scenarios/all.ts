/** Every chaos scenario. */
import type { Scenario } from "../harness/scenario.ts";
import { FOREIGN_ACTORS } from "./foreign_actors.ts";
import { REDIS_FAULTS } from "./redis_faults.ts";
import { REDIS_KILL } from "./redis_kill.ts";
import { SERVICE_KILL } from "./service_kill.ts";
import { SERVICE_SIGNALS } from "./service_signals.ts";
import { SOAK } from "./soak.ts";

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [
  SERVICE_KILL,
  SERVICE_SIGNALS,
  REDIS_KILL,
  REDIS_FAULTS,
  FOREIGN_ACTORS,
  SOAK,
];
