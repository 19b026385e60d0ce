/** A set of whole numbers from 1, as text: `1-57,60`. Pure. */

/** Parses the text. What is no range, or above `most`, is left out. */
export function parseRanges(text: string, most: number): Set<number> {
  const numbers = new Set<number>();
  for (const part of text.split(",")) {
    const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    for (let number = Math.max(1, Number(first)); number <= Math.min(most, Number(last)); number++) numbers.add(number);
  }
  return numbers;
}

/** Formats the set. */
export function formatRanges(numbers: ReadonlySet<number>): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => first === last ? String(first) : `${first}-${last}`).join(",");
}
