import assert from "node:assert/strict";
import { decideEngine, type Surroundings } from "../../../scripts/image.ts";

const CONTAINER: Surroundings = {
  os: "linux",
  dockerAnswers: false,
  hasPodman: true,
  hasRunc: true,
  hasApt: true,
  isRoot: true,
  hasTerminal: false,
  hasNamespaces: true,
};

function decide(change: Partial<Surroundings>): string {
  const decision = decideEngine({ ...CONTAINER, ...change });
  return decision.kind === "skip" ? decision.why : decision.kind;
}

Deno.test("decideEngine: takes Docker where it answers, whoever asks", () => {
  assert.equal(decide({ dockerAnswers: true }), "docker");
  assert.equal(decide({ dockerAnswers: true, isRoot: false, hasApt: false, hasNamespaces: false }), "docker");
});

Deno.test("decideEngine: takes Podman as root on Debian, and installs it only without a terminal", () => {
  assert.equal(decide({}), "podman");
  assert.equal(decide({ hasTerminal: true }), "podman");
  assert.equal(decide({ hasPodman: false }), "install");
  assert.equal(decide({ hasRunc: false }), "install");
  assert.match(decide({ hasPodman: false, hasTerminal: true }), /apt-get install podman runc/);
  assert.match(decide({ hasRunc: false, hasTerminal: true }), /apt-get install podman runc/);
});

Deno.test("decideEngine: skips with a reason where no engine can be had", () => {
  assert.match(decide({ os: "darwin", dockerAnswers: true }), /only on Linux/);
  assert.match(decide({ isRoot: false }), /root on Debian/);
  assert.match(decide({ hasApt: false }), /root on Debian/);
  assert.match(decide({ hasNamespaces: false }), /namespaces/);
});
