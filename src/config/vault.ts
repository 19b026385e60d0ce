/** Whether Vault is used, and for which settings. Pure. */
import { FIELDS, type Settings } from "./fields.ts";
import { parseRedisUrl } from "./redis_url.ts";

/** Advice for errors that say that Redis requires a password and none is known. */
export const HOW_TO_LOG_IN =
  "set REDIS_PASS_CURRENT and MOOG_API_KEY (MUTT keeps them only in Vault), or VAULT_ADDR and VAULT_ROLE_ID to read " +
  "both from there; if these are set, Vault gave no password: see the lines about vault";

/** The settings that Vault can provide, and their names in MUTT's secret; an earlier name wins. */
export const VAULT_NAMES = {
  redisPassword: ["REDIS_PASS_CURRENT", "REDIS_PASS"],
  redisPasswordNext: ["REDIS_PASS_NEXT"],
  moogApiKey: ["MOOG_API_KEY"],
} as const;
/** One of them. */
export type VaultTarget = keyof typeof VAULT_NAMES;

/** The settings to read from Vault: those that are not set otherwise. None if Vault is not used. */
export function vaultTargets(settings: Settings): readonly VaultTarget[] {
  const { vaultAddr, vaultRoleId, redisUrl } = settings;
  if (vaultAddr === "" || vaultRoleId === null) return [];
  const isRedisKnown = redisUrl !== null && parseRedisUrl(redisUrl.reveal())?.password !== null;
  return (Object.keys(VAULT_NAMES) as VaultTarget[])
    .filter((key) => settings[key] === null && !(isRedisKnown && key !== "moogApiKey"));
}

/** Warns of a Vault that is half configured, or reached without TLS. */
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
