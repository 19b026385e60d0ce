/** Lists of `name=value` as OpenTelemetry writes them in variables. Pure. */

/** The pairs in their order, names and values decoded from `%XX`; `undefined` where one of them is none. */
export function parsePairs(text: string): [name: string, value: string][] | undefined {
  const pairs = text.split(",").filter((part) => part.trim() !== "").map(parsePair);
  return pairs.every((pair) => pair !== undefined) ? pairs : undefined;
}

function parsePair(text: string): [string, string] | undefined {
  const at = text.indexOf("=");
  try {
    const [name, value] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)].map((part) =>
      decodeURIComponent(part.trim())
    ) as [string, string];
    return name === "" || /\p{Cc}/u.test(name + value) ? undefined : [name, value];
  } catch {
    return undefined; // a `%` that begins no character
  }
}
