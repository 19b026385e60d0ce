/** The head of an HTTP request, out of its bytes. Pure: nothing here does IO. */

/** What a page may know of a request; the web's own `Request` is one too. Bodies are never read. */
export type PageRequest = Pick<Request, "method" | "url" | "headers">;

/** A request, or the status that refuses it. */
export type ParsedHead = { readonly request: PageRequest } | { readonly refusal: 400 | 505 };

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;
const HEADER_LINE = /^([^:\s]+):([\t\x20-\x7e\x80-\xff]*)$/;

/**
 * Parses a head, its bytes as Latin-1 text, without the empty line that ends it. The url of a path is made absolute with a host
 * that stands for this service, whatever `Host` says.
 */
export function parseHead(text: string): ParsedHead {
  const [first, ...lines] = text.split("\r\n") as [string, ...string[]];
  const [, method, target, major] = REQUEST_LINE.exec(first) ?? [];
  if (method === undefined || target === undefined) return { refusal: 400 };
  if (major !== "1") return { refusal: 505 };
  const headers = parseHeaders(lines);
  if (headers === undefined || !hasClearEnd(headers)) return { refusal: 400 };
  return { request: { method, url: target.startsWith("/") ? `http://service${target}` : target, headers } };
}

function parseHeaders(lines: readonly string[]): Headers | undefined {
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = HEADER_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    try {
      headers.append(name, value);
    } catch {
      return undefined; // the name is no token
    }
  }
  return headers;
}

/** Bodies are never read, but a request whose end two readers could see in two places is refused all the same. */
function hasClearEnd(headers: Headers): boolean {
  const length = headers.get("content-length"), encoding = headers.get("transfer-encoding");
  if (encoding !== null) return length === null && encoding.toLowerCase() === "chunked";
  return length === null || /^(\d{1,15})(?:, \1)*$/.test(length);
}

/** Where the empty line that ends a head begins, or -1 where it is not there yet. `from`: where new bytes begin. */
export function findHeadEnd(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(13, Math.max(0, from - 3)); at !== -1; at = bytes.indexOf(13, at + 1)) {
    if (bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at;
  }
  return -1;
}
