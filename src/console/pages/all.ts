/** Every page, in the order of its path's precedence. */
import type { Page } from "../page.ts";
import { incidentsPage } from "./incidents.tsx";
import { job } from "./job.tsx";
import { jobs } from "./jobs.tsx";
import { messages } from "./messages.tsx";
import { journalPage } from "./journal.tsx";
import { objectives } from "./objectives.tsx";
import { overview } from "./overview.tsx";
import { replicasPage } from "./replicas.tsx";
import { settingsPage } from "./settings.tsx";
import { source } from "./source.tsx";
import { verifyPage } from "./verify.tsx";

/** All pages. To add one, write its file and list it here. */
export const PAGES: readonly Page[] = [
  ...[overview, source, incidentsPage, messages, jobs, job] as const,
  ...[journalPage, verifyPage, objectives, settingsPage, replicasPage] as const,
];
