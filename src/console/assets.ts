/** The console's styles, script and icon, embedded in the binary. */
import { createHash } from "node:crypto";
import htmx from "htmx.org/dist/htmx.min.js" with { type: "text" };
import idiomorph from "idiomorph/dist/idiomorph.min.js" with { type: "text" };
import type { SitePage } from "../api/site.ts";
import script from "./assets/console.js" with { type: "text" };
import icon from "./assets/icon.svg" with { type: "text" };
import style from "./assets/style.css" with { type: "text" };

const ASSETS = {
  "style.css": { type: "text/css; charset=utf-8", text: style },
  "console.js": { type: "text/javascript; charset=utf-8", text: [htmx, idiomorph, script].join("\n;\n") },
  "icon.svg": { type: "image/svg+xml", text: icon },
};
/** The name of an asset. */
export type AssetName = keyof typeof ASSETS;

const DIGESTS = Object.fromEntries(
  Object.entries(ASSETS).map((
    [name, { text }],
  ) => [name, createHash("sha256").update(text).digest("hex").slice(0, 12)]),
) as Record<AssetName, string>;

/** The address of an asset, with the digest of its content: another version has another address. */
export function assetPath(name: AssetName): string {
  return `/assets/${name}?v=${DIGESTS[name]}`;
}

/** Answers for the assets. They hold nothing secret, and the login needs them. */
export const ASSET_PAGES: readonly SitePage[] = Object.entries(ASSETS).map(([name, { type, text }]) => ({
  ...{ method: "GET", path: `/assets/${name}`, isOpen: true },
  answer: ({ url }) => {
    const isCurrent = url.searchParams.get("v") === DIGESTS[name as AssetName];
    return new Response(text, {
      headers: {
        "content-type": type,
        "cache-control": isCurrent ? "public, max-age=31536000, immutable" : "no-store",
      },
    });
  },
}));
