/** What a redrive loses or doubles when its process dies by `kill -9` in the middle. */
import type { Peer } from "../drainers/peer.ts";
import type { Figures } from "./family.ts";
import { idsIn } from "./messages.ts";
import type { Redrive } from "./mover.ts";

/** Runs after the last kill until nothing is left; one that leaves messages after these does not finish. */
const MOST_RUNS_TO_END = 5;

/** Headings. */
export const KILLS = "kills", LOST = "lost", DOUBLED = "doubled";

/** How often, and in how many messages. */
export interface KillLoad {
  readonly count: number;
  readonly kills: number;
}

/**
 * Starts the redrive again and again and kills it, at equal distances on the way through `count` messages. The last run
 * goes to its end. Then counts by identity: `lost` messages are in no list, `doubled` are the copies beyond the first.
 */
export async function countAfterKills(
  peer: Peer,
  { count, kills, signal }: KillLoad & { signal: AbortSignal },
): Promise<Figures> {
  await peer.load(count);
  let killed = 0;
  for (let kill = 1; kill <= kills; kill++) {
    const depth = Math.floor(count * (1 - kill / (kills + 1)));
    if (await killAtDepth(peer, depth, signal)) killed++;
  }
  await runToEnd(peer, signal);
  const ids = await peer.readTexts().then((texts) => texts.flatMap(idsIn));
  const distinct = new Set(ids).size;
  return { [KILLS]: killed, [LOST]: count - distinct, [DOUBLED]: ids.length - distinct };
}

/** @returns false if the redrive ended before the kill */
async function killAtDepth(peer: Peer, depth: number, signal: AbortSignal): Promise<boolean> {
  await using redrive = await peer.start();
  const hasEnded = watchEnd(redrive);
  while (!hasEnded() && await peer.depth() > depth) signal.throwIfAborted();
  redrive.kill();
  return await redrive.ended === "killed";
}

async function runToEnd(peer: Peer, signal: AbortSignal): Promise<void> {
  for (let run = 1; run <= MOST_RUNS_TO_END; run++) {
    signal.throwIfAborted();
    await using redrive = await peer.start();
    await redrive.ended;
    if (await peer.depth() === 0) return;
  }
  throw new Error(`${peer.name} left ${await peer.depth()} messages after ${MOST_RUNS_TO_END} runs`);
}

function watchEnd({ ended }: Redrive): () => boolean {
  let hasEnded = false;
  const onEnd = () => void (hasEnded = true);
  ended.then(onEnd, onEnd);
  return () => hasEnded;
}
