/** `deno run --allow-read testkit/search_output.ts FILE…`: exits 1 if a file holds a planted secret. */
import { describeLeak, findSecrets } from "./planted_secrets.ts";

for (const path of Deno.args) {
  for (const [at, line] of (await Deno.readTextFile(path)).split("\n").entries()) {
    for (const leak of findSecrets(line)) {
      console.log(`${path}:${at + 1} shows a secret: ${describeLeak(leak)}`);
      Deno.exitCode = 1;
    }
  }
}
