/** Addresses and networks of clients and servers: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`. Pure. */
import { BlockList, isIP } from "node:net";

/** Parses an address or a network; `undefined` if it is neither. */
export function parseNetwork(text: string): BlockList | undefined {
  const [address = "", bits, ...rest] = text.split("/");
  const version = isIP(address), longest = version === 4 ? 32 : 128;
  if (version === 0 || address.includes("%") || rest.length > 0) return undefined;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > longest)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, Number(bits ?? longest), version === 4 ? "ipv4" : "ipv6");
  return list;
}

/** Whether an address is in a network. An IPv4 address may be written as IPv6 has it (`::ffff:10.0.0.1`); anything else is in none. */
export function isInNetwork(network: BlockList, address: string): boolean {
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address, version = isIP(plain);
  return version !== 0 && network.check(plain, version === 4 ? "ipv4" : "ipv6");
}
