/** Reading, judging and editing one message: what the service does to each, without Redis. */
import { DEFAULT_SETTINGS } from "../../src/config/fields.ts";
import { createSources } from "../../src/mutt/built_in_sources.ts";
import { editMessage } from "../../src/message/edit.ts";
import { readMessage } from "../../src/message/read_message.ts";
import { decide, type VerdictContext } from "../../src/message/verdict.ts";
import { makeMessage } from "../harness/messages.ts";
import { register, SIZES } from "./register.ts";

const CONTEXT: VerdictContext = {
  policy: createSources(DEFAULT_SETTINGS)[0]!.policy,
  maxPoisonRetries: DEFAULT_SETTINGS.maxPoisonRetries,
  ...{ cycle: 1, cycleStartedAtMs: 1_764_000_000_000, nowMs: 1_764_000_300_000, tallyOf: () => undefined },
  failedAt: "2026-01-15T14:30:00.000Z",
};
const EDIT = { cut: ["_retry_count", "shedding_reason"], append: [["_remediation", '{"failures": 0}']] } as const;

for (const bytes of SIZES) {
  // The first message is poison, the second is not.
  const [poison, healthy] = [makeMessage(0, bytes), makeMessage(1, bytes)];
  const message = readMessage(healthy);
  if (!message.readable) throw new Error("the benchmark's message cannot be read");
  register("read", bytes, () => readMessage(healthy));
  register("edit", bytes, () => editMessage(message, EDIT));
  register("decide: replay", bytes, () => decide(healthy, CONTEXT));
  register("decide: dead", bytes, () => decide(poison, CONTEXT));
}
