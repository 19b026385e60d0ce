/** Runs a table of hostile inputs that are kept: each with a word on why it is there and what must come of it. */

/** One kept input. */
export interface Kept<Wanted> {
  readonly name: string;
  /** Why it is there. */
  readonly why: string;
  /** What must come of it. */
  readonly wanted: Wanted;
}

/** Inputs with names of their own. What a property test finds, shrunk, gets a line in one of these. */
export type Corpus<Wanted, Input> = readonly (Kept<Wanted> & Input)[];

const passed = new Map<string, string[]>();

/** Declares a test for each of these inputs of `tests/corpus/<file>`. */
export function testCorpus<T extends Kept<unknown>>(
  file: string,
  corpus: readonly T[],
  check: (kept: T) => void | Promise<void>,
): void {
  const names = passed.get(file) ?? [];
  passed.set(file, names);
  for (const kept of corpus) {
    Deno.test(`corpus ${file}: ${kept.name} (${kept.why})`, async () => {
      await check(kept);
      names.push(kept.name);
    });
  }
}

/** The names of the inputs that have passed, by file. */
export function passedOfCorpus(): ReadonlyMap<string, readonly string[]> {
  return passed;
}
