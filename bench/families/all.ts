/** Every family, in the order of the report. */
import type { Family } from "../harness/family.ts";
import { RECORDS_BESIDE } from "./beside.ts";
import { BYSTANDER } from "./bystander.ts";
import { CAPACITY } from "./capacity.ts";
import { CONSOLE } from "./console.ts";
import { DRAIN } from "./drain.ts";
import { HEALED } from "./healed.ts";
import { MICRO } from "./micro.ts";
import { OPERATE } from "./operate.ts";
import { OPERATE_JOBS } from "./operate_jobs.ts";
import { PEERS } from "./peers.ts";
import { SCALING } from "./scaling.ts";
import { SERVICE } from "./service.ts";

/** For `--only`, `--help` and the short form in the tests. */
export const FAMILIES: readonly Family[] = [
  DRAIN,
  RECORDS_BESIDE,
  PEERS,
  BYSTANDER,
  SCALING,
  SERVICE,
  CAPACITY,
  HEALED,
  OPERATE,
  OPERATE_JOBS,
  CONSOLE,
  MICRO,
];
