/**
 * Names in MUTT's `.env.template` that MUTT's code does not read, and that this service has under another name. From MUTT at
 * d89ca3b: its `.env.template`, compared with everything that reads the environment there.
 */

/** The unread name, and the name to use instead. */
export const UNREAD_TEMPLATE_NAMES: ReadonlyMap<string, string> = new Map([
  ["REDIS_TLS_CA_CERT", "REDIS_CA_CERT_PATH"],
  ["REDIS_TLS_CLIENT_CERT", "REDIS_CLIENT_CERT_PATH"],
  ["REDIS_TLS_CLIENT_KEY", "REDIS_CLIENT_KEY_PATH"],
  ["DLQ_NAME", "MOOG_DLQ_NAME"],
  ["RATE_LIMIT_KEY", "MOOG_RATE_LIMIT_KEY"],
  ["RATE_LIMIT_MAX_REQUESTS", "MOOG_RATE_LIMIT"],
  ["RATE_LIMIT_WINDOW_SECONDS", "MOOG_RATE_PERIOD"],
  ["MOOG_TIMEOUT", "MOOG_HEALTH_TIMEOUT"],
  ["POISON_MESSAGE_MAX_RETRIES", "MAX_POISON_RETRIES"],
  ["ALERTER_QUEUE_WARN_THRESHOLD", "REMEDIATION_TARGET_MAX_DEPTH"],
  ["LOG_FORMAT", "LOG_JSON_ENABLED"],
  ["VAULT_TOKEN", "VAULT_ROLE_ID"],
  ["VAULT_SECRET_PATH", "VAULT_SECRETS_PATH"],
  ["VAULT_MOUNT_PATH", "VAULT_SECRETS_PATH"],
  ["VAULT_TLS_CA_CERT", "VAULT_CACERT"],
]);
