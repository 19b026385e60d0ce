/** Runs a table of hostile inputs, each with its reason and expected result. */

/** One input. */
export interface Kept<Wanted> {
  readonly name: string;
  /** Why the corpus has it. */
  readonly why: string;
  /** The expected result. */
  readonly wanted: Wanted;
}

/** Inputs with unique names. Add the shrunk counterexamples of property tests here. */
export type Corpus<Wanted, Input> = readonly (Kept<Wanted> & Input)[];

const passed = new Map<string, string[]>();

/** Declares a test for each input of `tests/corpus/<file>`. */
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
