/** What receivers are given. */
import type { ChooseProxy } from "../../config/proxy.ts";
import type { Log } from "../../observability/log.ts";
import type { Clock } from "../../runtime/clock.ts";

/** Dependencies of receivers. */
export interface ReceiverDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The proxy of an HTTP request. Mail does not use proxies. */
  readonly chooseProxy: ChooseProxy;
  /** Reads a file with a secret or certificates. Throws when it cannot. */
  readonly readFile: (path: string) => string;
}
