/**
 * A webhook as Standard Webhooks describes it (https://www.standardwebhooks.com). Three details: `webhook-id` is the notice's id and stays
 * the same when it is sent again; `webhook-timestamp` is the time of the try; the signature covers both and the body's bytes.
 */
import { createHmac } from "node:crypto";
import { toIso } from "../../runtime/clock.ts";
import { readSigningKey } from "../../config/notify_secrets.ts";
import type { Notice } from "../notice.ts";
import { postJson } from "./http_post.ts";
import type { ReceiverFactory } from "./parts.ts";

/** Creates the receiver. */
export const createWebhook: ReceiverFactory<"webhook"> = ({ address, secretFile }, tools) => {
  const file = "urlFile" in address ? tools.secretFile("urlFile", { path: address.urlFile, kind: "url" }) : null;
  const secret = tools.secretFile("secretFile", { path: secretFile, kind: "signingKey" });
  return {
    send(notice, signal) {
      const url = new URL(file ? file.read().reveal() : (address as { url: string }).url);
      const body = formatWebhook(notice), { id } = notice, timestamp = Math.floor(tools.clock.nowMs() / 1_000);
      const key = readSigningKey(secret.read().reveal())!;
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": sign({ id, timestamp, body }, key),
      };
      return postJson({ url, headers, body, authorities: tools.authorities, signal }, tools);
    },
  };
};

/** The value of `webhook-signature`. Pure. */
export function sign(
  { id, timestamp, body }: { id: string; timestamp: number; body: string },
  key: Uint8Array,
): string {
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
}

/** The body: `type`, `timestamp` and `data`, as docs/notifications.md describes them. Pure. */
export function formatWebhook({ id, event, incident, atMs, title, text, url }: Notice): string {
  const { beganMs, endedMs, ...facts } = incident;
  return JSON.stringify({
    type: event === "test" ? "test" : `incident.${event}`,
    timestamp: toIso(atMs),
    data: {
      ...{ id, title, text, url },
      incident: { ...facts, beganAt: toIso(beganMs), endedAt: endedMs === null ? null : toIso(endedMs) },
    },
  });
}
