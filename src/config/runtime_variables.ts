/**
 * Variables that the runtime obeys whatever our settings say. Their effects, on the binary and from source, were measured:
 * docs/security.md#variables-of-the-runtime. Pure.
 */
import { FIELDS, type Settings } from "./fields.ts";
import type { Variables } from "./layers.ts";
import { usesTls } from "./rules.ts";

/** These add certificate authorities; before Deno 2.9 for Redis too. */
const AUTHORITIES = ["DENO_CERT", "DENO_TLS_CA_STORE", "NODE_EXTRA_CA_CERTS"] as const;

/** All of them, for `--allow-env`. Those of proxies are settings (docs/webhook.md). */
export const RUNTIME_VARIABLES: readonly string[] = [
  ...AUTHORITIES,
  "NODE_DEBUG",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "SSLKEYLOGFILE",
];

/**
 * Judges those that are set. Problems: writing out TLS session keys, not verifying certificates, and trusting another authority
 * for Redis than the one that the settings pin. Values are not shown.
 */
export function judgeRuntime(environment: Variables, settings: Settings): { problems: string[]; warnings: string[] } {
  const isSet = (name: string) => Object.hasOwn(environment, name) && environment[name] !== "";
  const pin = usesTls(settings) && settings.redisCaCertPath !== "" ? FIELDS.redisCaCertPath.variable : null;
  const problems: string[] = [], warnings: string[] = [];
  if (isSet("SSLKEYLOGFILE")) {
    problems.push(
      "SSLKEYLOGFILE is set: the runtime would write its TLS session keys to that file; unset it",
    );
  }
  if (environment.NODE_TLS_REJECT_UNAUTHORIZED === "0") {
    problems.push("NODE_TLS_REJECT_UNAUTHORIZED is 0: the runtime would accept any certificate; unset it");
  }
  for (const name of AUTHORITIES.filter(isSet)) {
    if (pin !== null && name !== "NODE_EXTRA_CA_CERTS") {
      problems.push(
        `${name} is set: the runtime may trust other authorities than the one of ${pin}; unset one of them`,
      );
    } else {
      warnings.push(`${name} is set: the runtime trusts the authorities that it names`);
    }
  }
  if (isSet("NODE_DEBUG")) {
    warnings.push("NODE_DEBUG is set: the runtime may print what it receives, including messages and secrets");
  }
  return { problems, warnings };
}
