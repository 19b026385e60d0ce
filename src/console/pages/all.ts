/** Every page, in the order of its path's precedence. */
import type { Page } from "../page.ts";
import { overview } from "./overview.tsx";

/** All pages. To add one, write its file and list it here. */
export const PAGES: readonly Page[] = [overview];
