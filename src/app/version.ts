/** Which build this is. */
import { fileURLToPath } from "node:url";
import denoJson from "../../deno.json" with { type: "json" };
import { readEmbedded } from "../runtime/process.ts";

/** The version; `CHANGELOG.md` says what it brought. */
export const VERSION: string = denoJson.version;
/**
 * The commit that the binary was compiled from (`scripts/compile.ts` embeds the file); `unknown` where it runs from source. The
 * path is the binary's: there all modules are one file, which lies at the root beside `dist`.
 */
export const COMMIT: string = readEmbedded(fileURLToPath(new URL("dist/commit", import.meta.url))) ?? "unknown";
