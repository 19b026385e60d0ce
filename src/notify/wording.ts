/** Writes the notice of an incident for one receiver: the built-in words, or those of its templates. Pure. */
import type { NotifyFile, ReceiverDefinition } from "../config/notify.ts";
import { renderTemplate, type TemplateView } from "../config/notify_template.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import type { Notice } from "./notice.ts";
import { cleanNotice } from "./receivers/text.ts";
import { countOf, describeIncident, formatCount, formatTime, listSources, type Told } from "./incident_words.ts";

/** Writes it. `id`: see {@link Notice}. */
export function composeNotice(
  { id, ...told }: Told & { readonly id: string },
  { file: { consoleUrl }, definition: { template } }: {
    readonly file: Pick<NotifyFile, "consoleUrl">;
    readonly definition: Pick<ReceiverDefinition, "template">;
  },
): Notice {
  const words = describeIncident(told, consoleUrl);
  const notice = cleanNotice({ id, ...told, ...words });
  if (template.title === null && template.text === null) return notice;
  const view = createView(notice);
  const own = cleanNotice({
    ...notice,
    title: template.title === null ? notice.title : renderTemplate(template.title, view),
    text: template.text === null ? notice.text : renderTemplate(template.text, view),
  });
  // No receiver takes a notice without a title.
  return own.title === "" ? { ...own, title: notice.title } : own;
}

function createView({ incident, event, atMs, title, text, url }: Notice): TemplateView {
  const { id, kind, cause, severity, detail, sources, groups, beganMs, endedMs } = incident;
  return {
    ...{ title, text, event, kind, cause, severity, detail, id },
    ...{ sources: listSources(sources), count: formatCount(countOf(incident)), url: url ?? "" },
    began: formatTime(beganMs, null),
    ended: endedMs === null ? "" : formatTime(endedMs, null),
    lasted: describeDuration((endedMs ?? atMs) - beganMs),
    groups: groups.map(({ source, count, sample }) => ({
      ...{ source, messages: formatCount(count), sample: sample?.text ?? "", message: sample?.id ?? "" },
    })),
  };
}
