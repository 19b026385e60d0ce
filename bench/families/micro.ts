/** The pure part by itself, by `deno bench`. */
import { ROOT } from "../../scripts/child.ts";
import type { Bench, Family, Row, Table } from "../harness/family.ts";
import { run } from "../harness/program.ts";

const FILE = `${ROOT}bench/micro/domain_bench.ts`;

/** What `deno bench --json` writes, as far as it is read; nanoseconds. */
interface Output {
  readonly benches: readonly {
    readonly name: string;
    readonly results: readonly { readonly ok?: { readonly avg: number; readonly p75: number; readonly p99: number } }[];
  }[];
}

/** The family. */
export const MICRO: Family = {
  name: "micro",
  about: "reading, judging and editing one message, by deno bench",
  async run(bench) {
    return [await measure(bench)];
  },
};

async function measure({ scale, signal }: Bench): Promise<Table> {
  const flags = [`--config=${ROOT}deno.json`, "--json", "--no-check", "--allow-read", "--allow-env", "--no-prompt"];
  const short = scale === "short" ? ["--", "--short"] : [];
  const json = await run([Deno.execPath(), "bench", ...flags, FILE, ...short], { signal });
  const { benches } = JSON.parse(json) as Output;
  return { title: "One message, without Redis", rows: benches.map(rowOf) };
}

function rowOf({ name, results: [result] }: Output["benches"][number]): Row {
  if (!result?.ok) throw new Error(`"${name}" failed`);
  const { avg, p75, p99 } = result.ok;
  return { name, figures: { "mean µs": avg / 1_000, "p75 µs": p75 / 1_000, "p99 µs": p99 / 1_000 } };
}
