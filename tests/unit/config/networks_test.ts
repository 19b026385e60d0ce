import assert from "node:assert/strict";
import { isInNetwork, parseNetwork } from "../../../src/config/networks.ts";

Deno.test("parseNetwork: refuses what is neither an address nor a network", () => {
  for (const text of ["", "x", "10.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/8/8", "::/129", "fe80::1%eth0", "/8"]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});

Deno.test("isInNetwork: knows both families, and IPv4 as IPv6 has it", () => {
  const cases: readonly (readonly [network: string, address: string, isIn: boolean])[] = [
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "10.1.2.4", false],
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "::ffff:10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["0.0.0.0/0", "fd00::1", false],
    ["fd00::/8", "fd12::1", true],
    ["::1", "0:0:0:0:0:0:0:1", true],
    ["10.0.0.0/8", "not an address", false],
  ];
  for (const [network, address, isIn] of cases) {
    assert.equal(isInNetwork(parseNetwork(network)!, address), isIn, `${address} in ${network}`);
  }
});
