/** Every chaos scenario. */
import type { Scenario } from "../harness/scenario.ts";
import { SERVICE_KILL } from "./service_kill.ts";

/** In the order in which they run. */
export const SCENARIOS: readonly Scenario[] = [SERVICE_KILL];
