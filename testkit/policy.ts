/** A source without rules of its own. */
import type { SourcePolicy } from "../src/message/source_policy.ts";

/** No counter, nothing to cut, no required members. */
export const PLAIN_POLICY: SourcePolicy = {
  ...{ name: "alerter", push: "LPUSH", dlq: "dlq", target: "target", dead: "dead" },
  ...{ counter: null, cutOnReplay: [], required: [] },
};
