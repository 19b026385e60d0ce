/** Processor time of another process, from Linux' `/proc`; `null` elsewhere. */

/** Ticks a second of `/proc/<pid>/stat` (`USER_HZ`, fixed on Linux). */
const TICKS_PER_SECOND = 100;
/** Position of `utime` and `stime` after the program's name (proc(5): fields 14 and 15, the name is 2). */
const USER_FIELD = 11, SYSTEM_FIELD = 12;

/** Processor time since the start, user and system, in microseconds; steps of 10 ms. */
export async function readCpuUs(pid: number): Promise<number | null> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // The name is in parentheses and may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[USER_FIELD]) + Number(fields[SYSTEM_FIELD]);
  return Number.isFinite(ticks) ? ticks / TICKS_PER_SECOND * 1e6 : null;
}
