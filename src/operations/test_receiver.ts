/** Operation `test_receiver`: sends a notice to one receiver, to see whether it arrives. */
import Type, { type Static } from "typebox";
import { quote } from "../config/redact.ts";
import { recordDone } from "./audit.ts";
import type { OperatorContext } from "./context.ts";
import { type Operation, OperationError } from "./operation.ts";
import { STRICT } from "./typed_schema.ts";

const INPUT = Type.Object({
  receiver: Type.String({ minLength: 1, maxLength: 32, description: "Name of the receiver in the notify file" }),
}, STRICT);
/** Input of the operation. */
export type TestReceiverInput = Static<typeof INPUT>;

const OUTPUT = Type.Object({
  receiver: Type.String(),
  result: Type.String({ description: "What was done, in one sentence" }),
}, STRICT);
/** Output of the operation. */
export type TestReceiverOutput = Static<typeof OUTPUT>;

/** Sends a test. The instance that answers sends it, at once, whatever the routes and quiet hours say. */
export const testReceiver = {
  name: "test_receiver",
  summary: "Send a test notice to a receiver",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTPUT,
  http: { method: "POST", path: "/receivers/{receiver}/test" },
  async run(context: OperatorContext, { receiver }: TestReceiverInput): Promise<TestReceiverOutput> {
    const { notifications, actor } = context, names = await notifications.receivers();
    if (!names.includes(receiver)) {
      const wanted = names.length > 0 ? `one of ${names.join(", ")}` : "in the notify file, which names no receiver";
      throw new OperationError("not_found", `receiver ${quote(receiver)} is not ${wanted}`, [
        { field: "receiver", value: receiver, wanted },
      ]);
    }
    const problem = await notifications.test(receiver, actor.name);
    if (problem !== null) throw new OperationError("unavailable", `receiver ${receiver} did not take it: ${problem}`);
    const result = `${receiver} took a test notice`;
    await recordDone(context, { operation: "test_receiver", result, input: { receiver } });
    return { receiver, result };
  },
} satisfies Operation<OperatorContext, TestReceiverInput, TestReceiverOutput>;
