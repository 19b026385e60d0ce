/** Resident memory of another process, as Linux tells it; `null` elsewhere. */

/** Now, in MiB. */
export function readResidentMib(pid: number): Promise<number | null> {
  return readStatus(pid, "VmRSS");
}

/** The most since the start or {@link resetPeak}, in MiB. */
export function readPeakMib(pid: number): Promise<number | null> {
  return readStatus(pid, "VmHWM");
}

/** Lets the peak begin anew; where that is not allowed it is the one since the start. */
export async function resetPeak(pid: number): Promise<void> {
  await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5").catch(() => {});
}

async function readStatus(pid: number, name: string): Promise<number | null> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
  return found === undefined ? null : Number(found) / 1_024;
}
