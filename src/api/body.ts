/** Reads the body of a request. */
import { Problem } from "./problem.ts";

/** Maximum size of a JSON body, in bytes. Uploads have no limit. */
export const MAX_BODY_BYTES = 1_048_576;

const FORM_TYPE = "application/x-www-form-urlencoded";

/** Reads the whole body. @throws {Problem} if it is larger than {@link MAX_BODY_BYTES} */
export async function readBody(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body ?? []) {
    length += part.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    parts.push(part);
  }
  const bytes = new Uint8Array(length);
  for (let at = 0, n = 0; n < parts.length; at += parts[n]!.length, n++) bytes.set(parts[n]!, at);
  return bytes;
}

/** Reads the fields of a form. @throws {Problem} if the body is none, or larger than {@link MAX_BODY_BYTES} */
export async function readForm(request: Request): Promise<URLSearchParams> {
  if (!isForm(request.headers)) throw new Problem("media_type", `Send a form with content-type: ${FORM_TYPE}`);
  return new URLSearchParams(new TextDecoder().decode(await readBody(request)));
}

/** Whether the body is a form. */
export function isForm(headers: Headers): boolean {
  return headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() === FORM_TYPE;
}

function tooLarge(): Problem {
  return new Problem("too_large", `The body has more than ${MAX_BODY_BYTES} bytes`);
}

/** Parses a JSON object; no body is an empty object. @throws {Problem} if it is neither */
export function parseBody(bytes: Uint8Array, headers: Headers): Record<string, unknown> {
  if (bytes.length === 0) return {};
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new Problem("media_type", "Send JSON with content-type: application/json", {
      headers: { "accept": "application/json" },
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Problem("invalid", "The body is not JSON in UTF-8");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Problem("invalid", "The body is not a JSON object");
  }
  return value as Record<string, unknown>;
}
