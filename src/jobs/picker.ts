/** Decides which messages a selection means. Pure. */
import type { Buffer } from "node:buffer";
import { sha1 } from "../redis/sample.ts";
import type { Selection } from "../message/selection.ts";

/** Tells whether a message is picked. Depends on its bytes only, so that every run decides alike. */
export type Picker = (message: Buffer) => boolean;

/** Creates the picker of a selection. @throws if its query cannot be read */
export type CreatePicker = (selection: Selection) => Picker;

/** Picks by the ids of a selection. @throws Error if it has a query */
export const pickByIds: CreatePicker = ({ query, ids }) => {
  if (query.trim() !== "") throw new Error("a query needs the query language");
  if (ids === undefined) return () => true;
  const wanted = new Set(ids);
  return (message) => wanted.has(`m_${sha1([message]).slice(0, 16)}`);
};
