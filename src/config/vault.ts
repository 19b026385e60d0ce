/** What the settings say about Vault: whether it is asked, and what for. Pure. */
import { FIELDS, type Settings } from "./fields.ts";
import { parseRedisUrl } from "./redis_url.ts";

/** What to do where Redis asks for a password and none is known, for whoever says that it does. */
export const HOW_TO_LOG_IN =
  "set REDIS_PASS_CURRENT and MOOG_API_KEY (MUTT keeps them only in Vault), or VAULT_ADDR and VAULT_ROLE_ID to read " +
  "both from there; if these are set, Vault gave no password: see the lines about vault";

/** The settings that Vault may give, and the names that MUTT has for them in its secret; an earlier one wins. */
export const VAULT_NAMES = {
  redisPassword: ["REDIS_PASS_CURRENT", "REDIS_PASS"],
  redisPasswordNext: ["REDIS_PASS_NEXT"],
  moogApiKey: ["MOOG_API_KEY"],
} as const;
/** One of them. */
export type VaultTarget = keyof typeof VAULT_NAMES;

/** The settings that are to be read from Vault: those that are not given otherwise. None where Vault is not asked. */
export function vaultTargets(settings: Settings): readonly VaultTarget[] {
  const { vaultAddr, vaultRoleId, redisUrl } = settings;
  if (vaultAddr === "" || vaultRoleId === null) return [];
  const isRedisKnown = redisUrl !== null && parseRedisUrl(redisUrl.reveal())?.password !== null;
  return (Object.keys(VAULT_NAMES) as VaultTarget[])
    .filter((key) => settings[key] === null && !(isRedisKnown && key !== "moogApiKey"));
}

/** Warns of a Vault that is named and not asked, and of one that is asked in the clear. */
export function warnOfVault(settings: Settings): string[] {
  const { vaultAddr, vaultRoleId } = settings;
  const [address, role] = [FIELDS.vaultAddr.variable, FIELDS.vaultRoleId.variable];
  if ((vaultAddr === "") !== (vaultRoleId === null)) {
    const [given, missing] = vaultRoleId === null ? [address, role] : [role, address];
    return [
      `${given} is set but ${missing} is not: Vault is not used (the login is by AppRole only, as in MUTT's services)`,
    ];
  }
  if (vaultTargets(settings).length === 0 || !/^http:/i.test(vaultAddr)) return [];
  const { hostname } = new URL(vaultAddr);
  return hostname === "localhost" || hostname === "[::1]" || /^127\./.test(hostname)
    ? []
    : [`${address} begins with http://: the login to Vault and its secrets are readable on the network; use https://`];
}
