/** Every page, in the order of its path's precedence. */
import type { Page } from "../page.ts";
import { job } from "./job.tsx";
import { jobs } from "./jobs.tsx";
import { messages } from "./messages.tsx";
import { overview } from "./overview.tsx";

/** All pages. To add one, write its file and list it here. */
export const PAGES: readonly Page[] = [overview, messages, jobs, job];
