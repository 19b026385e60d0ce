/**
 * What the API offers, as the command line sees it: `catalog.json`, made from the registry of operations by
 * `scripts/generate.ts`. So commands load neither the operations nor their libraries.
 */
import catalog from "./catalog.json" with { type: "json" };

/** The kinds of values of a member. */
export type MemberKind = "text" | "integer" | "number" | "flag" | "object";

/** A member of an operation's input. */
export interface Member {
  readonly in: "path" | "query" | "body" | "upload";
  readonly kind: MemberKind;
  /** Whether it is a list of such values. */
  readonly list?: true;
  readonly required?: true;
  /** The values that it can have. */
  readonly choices?: readonly string[];
  readonly description?: string;
  /** Names of the members of an object. */
  readonly members?: readonly string[];
}

/** An operation of the API. */
export interface Offer {
  readonly name: string;
  readonly summary: string;
  readonly role: string;
  readonly method: string;
  /** Below the address of the API, with `{member}` for members in the path. */
  readonly path: string;
  /** Whether the answer is NDJSON. */
  readonly stream?: true;
  /** Whether it plans a job, which moves nothing before it is confirmed. */
  readonly plans?: true;
  readonly members: Readonly<Record<string, Member>>;
}

/** Every operation that is offered over HTTP. */
export const OFFERS: readonly Offer[] = catalog as unknown as readonly Offer[];

/** Finds an operation by its name. @throws RangeError if this program does not know it */
export function findOffer(name: string): Offer {
  const found = OFFERS.find((offer) => offer.name === name);
  if (!found) throw new RangeError(`There is no operation ${name}`);
  return found;
}
