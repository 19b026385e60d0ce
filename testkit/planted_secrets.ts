/**
 * Plants secrets in the service's input and finds them in its output. Pure, except that it reads the client's key. All
 * output of the suite passes through the net in `secrets_net.ts`.
 */

/**
 * Start and end of every planted secret, to find partial ones too. It has only letters and digits, so escaping does
 * not change it; the encodings below do.
 */
export const MARK = "Pl4nt3dS3cr3t";

/**
 * Creates a secret that contains its name, so that a leak identifies it. `odd` adds characters that break parsers and
 * escapes.
 */
function plant(name: string, odd: string): string {
  return `${MARK}-${name}-${odd}-${MARK}`;
}

/**
 * Every planted secret, by purpose. Redis passwords have no blank, quote or backslash, because redis.conf splits there.
 */
export const PLANTED = {
  redisPassword: plant("redis-password", "/+%41@:?&=#"),
  redisPasswordNext: plant("redis-password-next", "%2F+/=@"),
  sentinelPassword: plant("sentinel-password", ":/@#"),
  moogApiKey: plant("moog-api-key", `"\\<&>'{}`),
  webhookPassword: plant("webhook-password", "@:/?#%25 é"),
  webhookToken: plant("webhook-token", "+/="),
  healthPassword: plant("health-password", ":@/#"),
  otlpKey: plant("otlp-key", "=,%;/+"),
  otlpPassword: plant("otlp-password", ":@/?#"),
  vaultRoleId: plant("vault-role-id", '/+"%'),
  vaultSecretId: plant("vault-secret-id", "/+'\\"),
  vaultToken: plant("vault-token", "+/=.%"),
  /** A key of the API and a proxy's secret travel in headers. */
  apiKey: plant("api-key", "/+=%"),
  proxySecret: plant("proxy-secret", "/+=%"),
  messageApiKey: plant("message-api-key", "/+'<&>"),
  /** A secret that an operator pasted into the wrong variable. */
  misplaced: plant("misplaced", "9f8e7d6c"),
} as const;

/** Name of a planted secret. */
export type SecretName = keyof typeof PLANTED;

/** Encodings in which a secret is still a secret. */
export type Encoding = "plain" | "escaped" | "base64" | "hex" | "numbers" | "key";

/** A secret, or a part of one, in a text. */
export interface Leak {
  /** Its name in {@link plant}; `part` if the name is cut off; `client key` for a line of the private key. */
  readonly secret: string;
  readonly encoding: Encoding;
  /** The text around it. */
  readonly excerpt: string;
}

/** A URL with percent-encoded credentials. */
export function withCredentials(url: string, { user = "svc", password }: { user?: string; password: string }): string {
  return url.replace("://", `://${user}:${encodeURIComponent(password)}@`);
}

/** Parts of each line of the tests' client key, at any offset. */
const KEY_PARTS: readonly string[] = Deno.readTextFileSync(new URL("tls/server.key", import.meta.url)).split("\n")
  .filter((line) => line !== "" && !line.startsWith("-----"))
  .flatMap((line) => line.match(/.{20}/g) ?? []);

const CODES = [...MARK].map((character) => character.charCodeAt(0));

const SEARCHES: readonly (readonly [Encoding, RegExp])[] = [
  ["plain", new RegExp(MARK, "i")],
  ["base64", new RegExp(base64Forms(MARK).map(escapeRegExp).join("|"))],
  // As a Buffer prints itself, or in one word.
  ["hex", new RegExp(CODES.map((code) => code.toString(16)).join("[\\s:,]*"), "i")],
  // As bytes print themselves, as JSON or over several lines.
  ["numbers", new RegExp(`\\b${CODES.join(",\\s*")}\\b`)],
  ["key", new RegExp(KEY_PARTS.map(escapeRegExp).join("|"))],
];

/** Finds planted secrets in a text, each encoding once. */
export function findSecrets(text: string): Leak[] {
  const found = SEARCHES.flatMap(([encoding, pattern]) => {
    const at = pattern.exec(text)?.index;
    return at === undefined ? [] : [tell(text, { encoding, at })];
  });
  if (found.some(({ encoding }) => encoding === "plain")) return found;
  const decoded = unescapeAll(text);
  const at = decoded === text ? -1 : decoded.toLowerCase().indexOf(MARK.toLowerCase());
  return at < 0 ? found : [...found, tell(decoded, { encoding: "escaped", at })];
}

/** @throws Error with each secret's name, its encoding and the text around it */
export function assertNoSecrets(where: string, text: string): void {
  const leaks = findSecrets(text);
  if (leaks.length > 0) throw new Error(`${where} shows a secret: ${leaks.map(describeLeak).join("; ")}`);
}

/** Describes a leak. */
export function describeLeak({ secret, encoding, excerpt }: Leak): string {
  return `${secret} (${encoding}) in ${JSON.stringify(excerpt)}`;
}

function tell(text: string, { encoding, at }: { encoding: Encoding; at: number }): Leak {
  const excerpt = text.slice(Math.max(0, at - 60), at + 100);
  if (encoding === "key") return { secret: "client key", encoding, excerpt };
  const name = new RegExp(`${MARK}-([a-z-]+?)-(?![a-z])`, "i").exec(decodeAt(text, { encoding, at }))?.[1];
  return { secret: name ?? "part", encoding, excerpt };
}

/** Decodes a text. */
function decodeAt(text: string, { encoding, at }: { encoding: Encoding; at: number }): string {
  const rest = text.slice(at);
  if (encoding === "hex") return fromCodes(/^[0-9a-f\s:,]+/i.exec(rest)![0].match(/[0-9a-f]{2}/gi)!, 16);
  if (encoding === "numbers") return fromCodes(/^[\d,\s]+/.exec(rest)![0].split(","), 10);
  return encoding === "base64"
    ? decodeBase64(/[\w+/-]*$/.exec(text.slice(0, at))![0] + /^[\w+/-]*/.exec(rest)![0])
    : rest;
}

/** Decodes from each of four offsets, because other characters may precede the encoded part. */
function decodeBase64(word: string): string {
  const standard = word.replaceAll("-", "+").replaceAll("_", "/");
  return [0, 1, 2, 3].map((skip) => {
    const part = standard.slice(skip);
    return atob(part.slice(0, part.length - part.length % 4));
  }).join("\n");
}

function fromCodes(codes: readonly string[], radix: number): string {
  return String.fromCharCode(...codes.slice(0, 100).map((code) => parseInt(code, radix)));
}

/** Base64 of a text at each of three byte offsets, without characters that depend on the neighbours. */
function base64Forms(text: string): string[] {
  return [0, 1, 2].map((before) => {
    const whole = btoa("\0".repeat(before) + text + "\0\0");
    return whole.slice(Math.ceil(before * 8 / 6), Math.floor((before + text.length) * 8 / 6));
  }).flatMap((form) => [form, form.replaceAll("+", "-").replaceAll("/", "_")]);
}

/** Undoes `%XX`, `\xXX`, `\uXXXX` and `&#…;`, once. */
function unescapeAll(text: string): string {
  return text.replace(
    /(?:%|\\+x|\\+u00|&#x)([0-9a-f]{2});?|&#(\d{2,3});/gi,
    (_, hex?: string, decimal?: string) => String.fromCharCode(hex === undefined ? Number(decimal) : parseInt(hex, 16)),
  );
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
