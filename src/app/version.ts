/** Version and commit of this build. */
import { fileURLToPath } from "node:url";
import denoJson from "../../deno.json" with { type: "json" };
import { readEmbedded } from "../runtime/process.ts";

/** The version, as in `CHANGELOG.md`. */
export const VERSION: string = denoJson.version;
/**
 * The commit that the binary was compiled from; `unknown` when run from source. `scripts/compile.ts` embeds the file.
 * In the binary it is beside the bundled modules.
 */
export const COMMIT: string = readEmbedded(fileURLToPath(new URL("commit", import.meta.url))) ?? "unknown";
