/** Facts about a running process from Linux. */

/** Whether `/proc` is available. */
export const HAS_PROC = Deno.build.os === "linux";

/** Its memory, in bytes. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** Its peak memory, in bytes. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

function statusBytes(pid: number, name: "VmRSS" | "VmHWM"): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}

/** Its number of open file descriptors. */
export function openDescriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Its TCP listeners as readable `address:port`, sorted. */
export function listeningAt(pid: number): string[] {
  const sockets = new Set(
    [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => readLink(`/proc/${pid}/fd/${name}`)),
  );
  return ["tcp", "tcp6"].flatMap((table) =>
    Deno.readTextFileSync(`/proc/${pid}/net/${table}`).trim().split("\n").slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) => state === LISTEN && sockets.has(`socket:[${inode}]`))
      .map(([, local]) => readableAddress(local!))
  ).sort();
}

/** Its other reachable sockets: UDP, raw, and listening Unix sockets. */
export function otherOpenDoors(pid: number): string[] {
  const sockets = new Set(
    [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => readLink(`/proc/${pid}/fd/${name}`)),
  );
  const rows = (table: string) =>
    Deno.readTextFileSync(`/proc/${pid}/net/${table}`).trim().split("\n").slice(1).map((line) =>
      line.trim().split(/\s+/)
    );
  return [
    ...["udp", "udp6", "raw", "raw6"].flatMap((table) =>
      rows(table).filter((row) => sockets.has(`socket:[${row[9]}]`)).map((row) => `${table} ${row[1]}`)
    ),
    ...rows("unix").filter((row) => row[3] === ACCEPTING && sockets.has(`socket:[${row[6]}]`)).map((row) =>
      `unix ${row[7]}`
    ),
  ];
}

/** `TCP_LISTEN`, and the flag of a Unix socket that accepts (`__SO_ACCEPTCON`). */
const LISTEN = "0A", ACCEPTING = "00010000";

/** A descriptor may be closed before it is read. */
function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

/** Decodes `0100007F:1F96` to 127.0.0.1:8086. Leaves an IPv6 address in the kernel's form. */
function readableAddress(text: string): string {
  const [address, port] = text.split(":") as [string, string];
  const bytes = address.length === 8
    ? address.match(/../g)!.reverse().map((two) => parseInt(two, 16)).join(".")
    : address;
  return `${bytes}:${parseInt(port, 16)}`;
}
