/** What Linux tells of a running process. */

/** Whether `/proc` can be asked here. */
export const HAS_PROC = Deno.build.os === "linux";

/** Bytes of memory that it holds. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** Most bytes of memory that it ever held. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

function statusBytes(pid: number, name: "VmRSS" | "VmHWM"): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
}

/** How many file descriptors it has open. */
export function openDescriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Where it listens by TCP, as `address:port` in the kernel's hexadecimal form turned readable; sorted. */
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

/** Any other socket on which it could be reached: UDP, raw, or listening on a Unix socket. */
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

/** A descriptor may be gone by the time it is looked at. */
function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}

/** `0100007F:1F96` is 127.0.0.1:8086; an address of IPv6 stays as the kernel writes it. */
function readableAddress(text: string): string {
  const [address, port] = text.split(":") as [string, string];
  const bytes = address.length === 8
    ? address.match(/../g)!.reverse().map((two) => parseInt(two, 16)).join(".")
    : address;
  return `${bytes}:${parseInt(port, 16)}`;
}
