/** Parses the keys of the API: `name:role:digest` entries. Pure. No problem shows a part of an entry. */

import { quote } from "./redact.ts";

/** Roles of the API's callers. Each includes the previous ones. */
export const ROLES = ["viewer", "operator", "admin"] as const;
/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number];

/** One key, without the key itself. */
export interface ApiKey {
  /** Who uses it, for log and journal. Two keys may share a name while one replaces the other. */
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the key, 64 hexadecimal digits in lower case. */
  readonly digest: string;
}

/** The keys, or all problems with them. */
export type ParsedApiKeys =
  | { readonly ok: true; readonly keys: readonly ApiKey[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Pattern of a name. */
export const NAME_PATTERN = /^[A-Za-z0-9][\w.@-]{0,63}$/;
/** Maximum number of keys: each request compares all of them. */
const MAX_KEYS = 1_000;
const DIGEST = /^[0-9a-f]{64}$/i;

const WANTED = {
  entry: "name:role:digest, as printed by mutt-remediation key new",
  name: "a name of 1 to 64 letters, digits, _, ., @ and -",
  role: `a role (${ROLES.join(", ")})`,
  digest: "the SHA-256 of a key (64 hexadecimal digits)",
} as const;

/** Whether a text is a role. */
export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}

/**
 * Parses keys from a variable (`"list"`: comma-separated entries) or a file (`"file"`: an entry a line; `#` begins a
 * comment line). No entries are valid.
 */
export function parseApiKeys(text: string, from: "list" | "file"): ParsedApiKeys {
  const places = text.split(from === "list" ? "," : /\r?\n/)
    .map((part, at) => ({ entry: part.trim(), place: `${from === "list" ? "entry" : "line"} ${at + 1}` }))
    .filter(({ entry }) => entry !== "" && !(from === "file" && entry.startsWith("#")));
  if (places.length > MAX_KEYS) return { ok: false, problems: [`${places.length} keys are more than ${MAX_KEYS}`] };
  const known = new Map<string, string>();
  const problems: string[] = [], keys: ApiKey[] = [];
  for (const { entry, place } of places) {
    const parts = entry.split(":").map((part) => part.trim());
    const [name = "", role = "", given = ""] = parts, digest = given.toLowerCase();
    const faults = parts.length !== 3 ? [`is not ${WANTED.entry}`] : [
      ...(NAME_PATTERN.test(name) ? [] : [`the first part is not ${WANTED.name}`]),
      ...(isRole(role) ? [] : [`the second part is not ${WANTED.role}`]),
      ...(DIGEST.test(digest) ? [] : [`the third part is not ${WANTED.digest}`]),
      ...(known.has(digest) ? [`has the same key as ${known.get(digest)}`] : []),
    ];
    problems.push(...faults.map((fault) => `${place}: ${fault}`));
    known.set(digest, place);
    if (faults.length === 0 && isRole(role)) keys.push({ name, role, digest });
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, keys };
}

/** Parses `group=role` pairs (`REMEDIATION_TRUSTED_PROXY_ROLES`), already split. Returns all problems. */
export function findRoleProblems(pairs: readonly (readonly [group: string, role: string])[]): readonly string[] {
  return pairs.filter(([, role]) => !isRole(role)).map(([group]) =>
    `the role of group ${quote(group)} is not ${WANTED.role}`
  );
}
