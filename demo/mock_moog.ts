/**
 * The mock Moogsoft as a program: the service `mock-moog` of `compose.yaml`. Alone it is
 * `PORT=8080 deno run --allow-net --allow-env=PORT demo/mock_moog.ts`; its routes are described in `testkit/mutt/mock_moog.ts`.
 */
import { startMockMoog } from "../testkit/mutt/mock_moog.ts";

if (import.meta.main) {
  const moog = startMockMoog({ port: Number(Deno.env.get("PORT") ?? 8080), hostname: "0.0.0.0" });
  console.log(`mock-moog listens on port ${moog.port}`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => moog.stop());
}
