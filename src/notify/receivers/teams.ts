/**
 * A webhook of Microsoft Teams' Workflows. Three details: only an Adaptive Card in `attachments` is shown; text blocks render Markdown, so
 * texts are `TextRun`s, which do not; the flow answers 202 before it posts, so a flow that fails later is seen only in Power Automate.
 */
import type { Notice } from "../notice.ts";
import { postJson } from "./http_post.ts";
import type { ReceiverFactory } from "./parts.ts";

/** Creates the receiver. */
export const createTeams: ReceiverFactory<"teams"> = ({ urlFile }, tools) => {
  const address = tools.secretFile("urlFile", { path: urlFile, kind: "secretUrl" });
  return {
    send: (notice, signal) =>
      postJson({
        ...{ url: new URL(address.read().reveal()), authorities: tools.authorities, signal },
        body: formatTeams(notice),
        // Office connectors reported failures of Teams with 200 and a sentence; a page is a portal's.
        isHealthy: ({ status, body }) => (status === 200 || status === 202) && !/^\s*<|failed/i.test(body),
      }, tools),
  };
};

/** The body of a message. Pure. */
export function formatTeams({ title, text, url }: Notice): string {
  const block = (text: string, style: object = {}) => ({
    type: "RichTextBlock",
    inlines: [{ type: "TextRun", text, ...style }],
  });
  const lines = text.split("\n").filter((line) => line !== "");
  return JSON.stringify({
    type: "message",
    attachments: [{
      contentType: "application/vnd.microsoft.card.adaptive",
      contentUrl: null,
      content: {
        $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
        ...{ type: "AdaptiveCard", version: "1.4" },
        body: [block(title, { weight: "Bolder", size: "Medium" }), ...lines.map((line) => block(line))],
        actions: url === null ? [] : [{ type: "Action.OpenUrl", title: "Open in the console", url }],
      },
    }],
  });
}
