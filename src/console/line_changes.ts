/** The lines that differ between two texts. Pure. */

/** A line: in both texts, only in the first, or only in the second. */
export interface ChangedLine {
  readonly kind: "same" | "gone" | "new";
  readonly text: string;
}

/** Most lines of a text that are compared; longer texts are shown as gone and new. */
const MOST_LINES = 1_000;

/** Compares two texts by line: the longest common subsequence stays. */
export function compareLines(before: string, after: string): readonly ChangedLine[] {
  const old = before.split("\n"), fresh = after.split("\n");
  if (old.length > MOST_LINES || fresh.length > MOST_LINES) return [...mark(old, "gone"), ...mark(fresh, "new")];
  // common[i][j]: length of the longest common subsequence of the lines from i and from j on.
  const common = Array.from({ length: old.length + 1 }, () => new Uint16Array(fresh.length + 1));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = fresh.length - 1; j >= 0; j--) {
      common[i]![j] = old[i] === fresh[j]
        ? common[i + 1]![j + 1]! + 1
        : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
    }
  }
  const lines: ChangedLine[] = [];
  let i = 0, j = 0;
  while (i < old.length && j < fresh.length) {
    if (old[i] === fresh[j]) {
      lines.push({ kind: "same", text: old[i]! });
      i++;
      j++;
    } else if (common[i + 1]![j]! >= common[i]![j + 1]!) lines.push({ kind: "gone", text: old[i++]! });
    else lines.push({ kind: "new", text: fresh[j++]! });
  }
  return [...lines, ...mark(old.slice(i), "gone"), ...mark(fresh.slice(j), "new")];
}

function mark(lines: readonly string[], kind: ChangedLine["kind"]): ChangedLine[] {
  return lines.map((text) => ({ kind, text }));
}
