/**
 * A Slack incoming webhook. Three details: `&`, `<` and `>` are escaped, so no message can mention a channel or disguise a link; Slack
 * refuses blocks that exceed its limits; a webhook takes about one message a second and answers 429 with `Retry-After` beyond that.
 */
import type { Notice } from "../notice.ts";
import { postJson } from "./http_post.ts";
import type { ReceiverFactory } from "./parts.ts";
import { escapeWithin } from "./text.ts";

/** Most characters of a header and of a section (Block Kit reference). */
const HEADER_CHARACTERS = 150, SECTION_CHARACTERS = 3_000;

/** Creates the receiver. */
export const createSlack: ReceiverFactory<"slack"> = ({ urlFile }, tools) => {
  const address = tools.secretFile("urlFile", { path: urlFile, kind: "secretUrl" });
  return {
    send: (notice, signal) =>
      postJson({
        ...{ url: new URL(address.read().reveal()), authorities: tools.authorities, signal },
        body: formatSlack(notice),
        isHealthy: ({ status, body }) => status === 200 && body.trim() === "ok",
      }, tools),
  };
};

/** The body of a message. Pure. */
export function formatSlack({ title, text, url }: Notice): string {
  const header = escapeWithin(title, HEADER_CHARACTERS, escapeSlack);
  const section = (text: string) => ({ type: "section", text: { type: "mrkdwn", text, verbatim: true } });
  return JSON.stringify({
    // For notifications, which show no blocks.
    text: header,
    blocks: [
      { type: "header", text: { type: "plain_text", text: header, emoji: false } },
      ...(text === "" ? [] : [section(escapeWithin(text, SECTION_CHARACTERS, escapeSlack))]),
      ...(url === null ? [] : [section(`<${escapeSlack(url).replaceAll("|", "%7C")}|Open in the console>`)]),
    ],
    ...{ unfurl_links: false, unfurl_media: false },
  });
}

function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
