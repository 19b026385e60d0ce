/**
 * The one table of settings. The parser, the type {@link Settings}, `.env.template`, `docs/configuration.md` and the
 * environment permissions of the compiled binary all come from it. MUTT's own variables keep the names and defaults of its
 * remediation service and of its other services (contract §3).
 */
import { LOG_LEVELS, type LogLevel } from "../observability/log.ts";
import {
  autoOrNumber,
  boolean,
  choice,
  choicesOrNone,
  collector,
  decimal,
  duration,
  type Field,
  headerName,
  host,
  httpUrl,
  integer,
  listKey,
  networks,
  origins,
  pairs,
  proxyUrl,
  redisKey,
  redisUrl,
  secret,
  secretHeaders,
  servers,
  share,
  statusCodes,
  text,
  vaultPath,
} from "./field.ts";
import { MAX_DB } from "./redis_url.ts";
import { UNREAD_TEMPLATE_NAMES } from "./template_names.ts";

/** What the targets of objectives share. A target of 1 would leave no error budget. */
const SLO_TARGET = { group: "Objectives", min: 0.5, max: 0.9999, unit: "share of good events" } as const;

/** The longest leader lease. A longer one in Redis was not written by this program. */
export const MAX_LEASE_MS = 300_000;

/** Every setting, by the name that the code uses, in the order of the pages. */
export const FIELDS = {
  enabled: boolean({
    variable: "REMEDIATION_ENABLED",
    group: "Replay",
    default: true,
    dynamicKey: "remediation_enabled",
    doc: "Replay messages. With false the service runs, reports healthy and measures, but moves nothing.",
  }),
  intervalMs: duration({
    variable: "REMEDIATION_INTERVAL",
    group: "Replay",
    default: 300,
    min: 1,
    max: 86_400,
    unit: "seconds",
    dynamicKey: "remediation_interval",
    doc: "Time between the starts of two cycles of a source. Lower it to drain faster.",
  }),
  batchSize: integer({
    variable: "REMEDIATION_BATCH_SIZE",
    group: "Replay",
    default: 10,
    min: 0,
    max: 1_000_000,
    unit: "messages",
    dynamicKey: "remediation_batch_size",
    doc: "Maximum messages of a source per cycle. 0: everything that was in the DLQ when the cycle began. Raise it " +
      "if a DLQ drains too slowly.",
  }),
  maxPoisonRetries: integer({
    variable: "MAX_POISON_RETRIES",
    group: "Replay",
    default: 3,
    min: 1,
    max: 1_000,
    unit: "failures",
    dynamicKey: "max_poison_retries",
    doc: "A message that failed this often moves to the dead list if it failed by itself (most others of its cycles " +
      "succeeded), or after 24 failures over 12 hours (docs/states.md).",
  }),
  sources: choicesOrNone({
    variable: "REMEDIATION_SOURCES",
    group: "Replay",
    default: ["alerter"],
    choices: ["alerter", "moog"] as const,
    doc: "Built-in sources to drain. alerter: dead letters of the alerter. moog: dead letters of the Moog " +
      "forwarder, which a Moogsoft outage fills and the original never touches. none: only the sources in " +
      "REMEDIATION_SOURCES_PATH.",
  }),
  sourcesPath: text({
    variable: "REMEDIATION_SOURCES_PATH",
    group: "Replay",
    default: "",
    doc: "File with your own sources (docs/sources.md). Reread on SIGHUP and when it changes.",
  }),
  chunkMessages: integer({
    variable: "REMEDIATION_CHUNK_MESSAGES",
    group: "Replay",
    default: 400,
    min: 1,
    max: 4_000,
    unit: "messages",
    doc: "Maximum messages per read and commit.",
  }),
  chunkBytes: integer({
    variable: "REMEDIATION_CHUNK_BYTES",
    group: "Replay",
    default: 204_800,
    min: 1_024,
    max: 16_777_216,
    unit: "bytes",
    doc: "Maximum bytes per read and commit; one message is always allowed. Larger chunks block Redis longer.",
  }),
  maxMessageBytes: integer({
    variable: "REMEDIATION_MAX_MESSAGE_BYTES",
    group: "Replay",
    default: 4_194_304,
    min: 1_024,
    max: 67_108_864,
    unit: "bytes",
    doc: "Larger messages move unread to mutt:remediation:{<DLQ>}:state:oversize (reason oversize).",
  }),

  leaderElection: boolean({
    variable: "REMEDIATION_LEADER_ELECTION",
    group: "Replicas",
    default: true,
    doc: "Let one instance at a time move a source's messages while the others stand by. With false all of them " +
      "do, which is also safe (docs/reliability.md).",
  }),
  leaseMs: duration({
    variable: "REMEDIATION_LEASE_DURATION",
    group: "Replicas",
    default: 15,
    min: 1,
    max: MAX_LEASE_MS / 1_000,
    unit: "seconds",
    doc: "If the leader dies, another instance takes over after this long. Renewed every third of it.",
  }),

  alerterDlq: listKey({
    variable: "ALERTER_DLQ_NAME",
    group: "Lists",
    default: "mutt:dlq:alerter",
    doc: "Dead-letter queue of the alerter, drained by the source alerter.",
  }),
  ingestQueue: listKey({
    variable: "INGEST_QUEUE_NAME",
    aliases: ["ALERTER_QUEUE_NAME"],
    group: "Lists",
    default: "mutt:ingest_queue",
    doc: "Input list of the alerter. The source alerter replays to it.",
  }),
  moogDlq: listKey({
    variable: "MOOG_DLQ_NAME",
    group: "Lists",
    default: "mutt:dlq:moog",
    doc: "Dead-letter queue of the Moog forwarder, drained by the source moog.",
  }),
  alertQueue: listKey({
    variable: "ALERT_QUEUE_NAME",
    group: "Lists",
    default: "mutt:alert_queue",
    doc: "Input list of the Moog forwarder. The source moog replays to it; the source alerter only measures its " +
      "depth.",
  }),
  deadList: listKey({
    variable: "DEAD_LETTER_QUEUE",
    group: "Lists",
    default: "mutt:dlq:dead",
    doc: "Dead list: messages that are not replayed again.",
  }),

  consumerGate: choice({
    variable: "REMEDIATION_CONSUMER_GATE",
    group: "Gates",
    default: "auto",
    choices: ["auto", "required", "off"] as const,
    doc: "Whether replay needs a live consumer. auto: stop if a consumer that was seen is gone. required: stop " +
      "unless there is one. off: do not check.",
  }),
  brakeEnabled: boolean({
    variable: "REMEDIATION_BRAKE_ENABLED",
    group: "Gates",
    default: true,
    doc: "Hold back a source in trouble: canary groups after an outage or when nearly everything came back, then a " +
      "growing allowance (docs/states.md). With false every cycle takes its whole batch.",
  }),
  canaryAfterMs: duration({
    variable: "REMEDIATION_CANARY_AFTER",
    group: "Gates",
    default: 60,
    min: 0,
    max: 86_400,
    unit: "seconds",
    doc: "If the gate window, consumer, downstream, breaker or depth was closed for this long, replay resumes with a " +
      "canary group and an allowance that grows from cycle to cycle. 0: never for this reason.",
  }),
  consumerLagMs: duration({
    variable: "REMEDIATION_SETTLE",
    group: "Gates",
    default: null,
    min: 0,
    max: 3_600,
    unit: "seconds",
    doc: "Minimum time between cycles of a source, even if the interval is shorter: how long its consumer may take " +
      "to return what fails. Unset: the source's default (alerter 0, moog 70, because the forwarder retries for " +
      "63 seconds).",
  }),
  alerterHeartbeatPrefix: redisKey({
    variable: "ALERTER_HEARTBEAT_PREFIX",
    group: "Gates",
    default: "mutt:heartbeat:alerter",
    doc: "The alerter's heartbeat keys are this prefix, a colon and the pod's name.",
  }),
  moogHeartbeatPrefix: redisKey({
    variable: "MOOG_HEARTBEAT_PREFIX",
    group: "Gates",
    default: "mutt:heartbeat:moog",
    doc: "The forwarder's heartbeat keys are this prefix, a colon and the pod's name.",
  }),
  breakerEnabled: boolean({
    variable: "CIRCUIT_BREAKER_ENABLED",
    group: "Gates",
    default: true,
    doc: "Hold back the source moog while the forwarder's circuit breaker (read from Redis) is open. With false " +
      "the breaker is ignored.",
  }),
  breakerTimeoutMs: duration({
    variable: "CIRCUIT_BREAKER_TIMEOUT",
    group: "Gates",
    default: 300,
    min: 1,
    max: 86_400,
    unit: "seconds",
    doc: "An open breaker lets one message through after this long. Use the forwarder's value.",
  }),
  alerterHealthUrl: httpUrl({
    variable: "ALERTER_HEALTH_URL",
    group: "Gates",
    default: "",
    doc: "Health page of the alerter for the consumer gate; it must answer 200. Its port is HEALTH_PORT_ALERTER: " +
      "8082 in MUTT's code, 8081 in its compose file and installation guide. Do not use the metrics port, which " +
      "answers 200 on any path. Leave it unset for MUTT's alerter as shipped, which always answers 503 (a bug); " +
      "its heartbeat is checked anyway.",
  }),
  targetMaxDepth: integer({
    variable: "REMEDIATION_TARGET_MAX_DEPTH",
    group: "Gates",
    default: null,
    min: 0,
    max: 1_000_000_000,
    unit: "messages",
    doc: "Replay stops while the target and the alert queue together hold this many messages. 0: no limit. Unset: " +
      "the source's default (alerter: dynamic key alerter_queue_warn_threshold, else 1000).",
  }),

  maxPerSecond: autoOrNumber({
    variable: "REMEDIATION_MAX_PER_SECOND",
    group: "Pace",
    default: "auto",
    min: 0,
    smallest: 0.001,
    max: 1_000_000,
    unit: "messages a second and source",
    doc: "Pace of replay. auto: what live traffic leaves of the forwarder's shared rate limit. 0: no limit.",
  }),
  moogRateLimit: integer({
    variable: "MOOG_RATE_LIMIT",
    group: "Pace",
    default: 50,
    min: 0,
    max: 1_000_000,
    unit: "alerts a period",
    doc: "Rate limit of the forwarder; the automatic pace stays below it. With DYNAMIC_CONFIG_ENABLED=true the " +
      "dynamic key moog_rate_limit overrides it, as in the forwarder.",
  }),
  moogRatePeriodMs: duration({
    variable: "MOOG_RATE_PERIOD",
    group: "Pace",
    default: 1,
    min: 1,
    max: 86_400,
    unit: "seconds",
    doc: "Period of that limit. The dynamic key moog_rate_period overrides it in the same way.",
  }),
  moogRateLimitKey: redisKey({
    variable: "MOOG_RATE_LIMIT_KEY",
    group: "Pace",
    default: "mutt:rate_limit:moog",
    doc: "Sorted set in which the forwarders count what they send. Only read.",
  }),

  moogHealthCheckEnabled: boolean({
    variable: "MOOG_HEALTH_CHECK_ENABLED",
    group: "Moogsoft",
    default: true,
    doc: "Probe Moogsoft before messages are replayed.",
  }),
  moogWebhookUrl: httpUrl({
    variable: "MOOG_WEBHOOK_URL",
    group: "Moogsoft",
    default: "",
    doc: "URL that the probe is posted to. Empty: Moogsoft is not probed and counts as healthy; a warning says so.",
  }),
  moogHealthTimeoutMs: duration({
    variable: "MOOG_HEALTH_TIMEOUT",
    group: "Moogsoft",
    default: 5,
    min: 1,
    max: 300,
    unit: "seconds",
    doc: "Timeout of a whole probe.",
  }),
  moogHealthCacheMs: duration({
    variable: "MOOG_HEALTH_CACHE_SECONDS",
    group: "Moogsoft",
    default: 60,
    min: 1,
    max: 86_400,
    unit: "seconds",
    doc: "How long a probe's result is used, by all instances together.",
  }),
  moogHealthSuccessCodes: statusCodes({
    variable: "MOOG_HEALTH_SUCCESS_CODES",
    group: "Moogsoft",
    default: [200, 201, 202],
    doc: "Status codes that mean healthy.",
  }),
  moogApiKey: secret({
    variable: "MOOG_API_KEY",
    group: "Moogsoft",
    doc: "Sent with the probe as a Bearer token, as the forwarder does. Its file is reread while the service runs " +
      "(docs/webhook.md).",
  }),
  moogCaCertPath: text({
    variable: "MOOG_CA_CERT_PATH",
    group: "Moogsoft",
    default: "",
    doc: "File with the certificate authority (PEM) of Moogsoft, trusted in addition to the runtime's. Reread " +
      "while the service runs.",
  }),

  httpProxy: proxyUrl({
    variable: "HTTP_PROXY",
    aliases: ["http_proxy"],
    doc: "Proxy for http:// URLs: the probe, ALERTER_HEALTH_URL and tracing (docs/webhook.md). Loopback addresses " +
      "are not proxied.",
  }),
  httpsProxy: proxyUrl({
    variable: "HTTPS_PROXY",
    aliases: ["https_proxy"],
    doc: "Proxy for https:// URLs.",
  }),
  allProxy: proxyUrl({
    variable: "ALL_PROXY",
    aliases: ["all_proxy"],
    doc: "Proxy for URLs that neither of the two above covers.",
  }),
  noProxy: text({
    variable: "NO_PROXY",
    aliases: ["no_proxy"],
    group: "HTTP proxy",
    default: "",
    doc: "Comma-separated exceptions: * for all, a host (and its subdomains) or address, either also as host:port, " +
      "or a network such as 10.0.0.0/8.",
  }),

  redisUrl: redisUrl({
    variable: "REDIS_URL",
    group: "Redis",
    doc: "redis://, rediss:// (TLS), redis+sentinel://user:password@host:port,host:port/master/database " +
      "(rediss+sentinel:// with TLS) or unix:///run/redis/redis.sock. Overrides the single variables below.",
  }),
  redisSentinels: servers({
    variable: "REDIS_SENTINELS",
    group: "Redis",
    default: [],
    doc: "Comma-separated Sentinels. They are asked for the master at every connection; REDIS_HOST and REDIS_PORT " +
      "are not used.",
  }),
  redisSentinelMaster: text({
    variable: "REDIS_SENTINEL_MASTER",
    group: "Redis",
    default: "mymaster",
    doc: "Name of the master in Sentinel.",
  }),
  redisSentinelUsername: text({
    variable: "REDIS_SENTINEL_USERNAME",
    group: "Redis",
    default: "",
    doc: "ACL user of the Sentinels. Empty: the default user.",
  }),
  redisSentinelPassword: secret({
    variable: "REDIS_SENTINEL_PASSWORD",
    group: "Redis",
    doc: "Password of the Sentinels. They are not sent the password of Redis.",
  }),
  redisClusterNodes: servers({
    variable: "REDIS_CLUSTER_NODES",
    group: "Redis",
    default: [],
    doc: "Comma-separated nodes of a Redis Cluster; the other nodes are discovered. The lists of a source must " +
      "share a slot (docs/redis.md). REDIS_HOST and REDIS_PORT are not used.",
  }),
  redisHost: host({ variable: "REDIS_HOST", group: "Redis", default: "localhost", doc: "Host name or IP address." }),
  redisPort: integer({
    variable: "REDIS_PORT",
    group: "Redis",
    default: 6379,
    min: 1,
    max: 65_535,
    doc: "Port. Set it in Kubernetes, where a Service named redis sets REDIS_PORT=tcp://…",
  }),
  redisDb: integer({
    variable: "REDIS_DB",
    group: "Redis",
    default: 0,
    min: 0,
    max: MAX_DB,
    doc: "Database number.",
  }),
  redisUsername: text({
    variable: "REDIS_USERNAME",
    group: "Redis",
    default: "",
    doc: "ACL user. Empty: the default user.",
  }),
  redisPassword: secret({
    variable: "REDIS_PASS_CURRENT",
    aliases: ["REDIS_PASS", "REDIS_PASSWORD"],
    group: "Redis",
    doc: "Password.",
  }),
  redisPasswordNext: secret({
    variable: "REDIS_PASS_NEXT",
    group: "Redis",
    doc: "Tried when the current password is refused. Set it to rotate the password.",
  }),
  redisTls: boolean({
    variable: "REDIS_TLS_ENABLED",
    group: "Redis",
    default: false,
    doc: "Connect with TLS. The server's certificate is always verified.",
  }),
  redisCaCertPath: text({
    variable: "REDIS_CA_CERT_PATH",
    group: "Redis",
    default: "",
    doc: "File with the certificate authority (PEM). Empty: the runtime's authorities. Reread at every connection.",
  }),
  redisClientCertPath: text({
    variable: "REDIS_CLIENT_CERT_PATH",
    group: "Redis",
    default: "",
    doc: "File with the client certificate (PEM), if Redis requires one. Reread at every connection.",
  }),
  redisClientKeyPath: text({
    variable: "REDIS_CLIENT_KEY_PATH",
    group: "Redis",
    default: "",
    doc: "File with the private key of the client certificate (PEM, not encrypted). Reread at every connection.",
  }),
  redisServerName: text({
    variable: "REDIS_TLS_SERVER_NAME",
    group: "Redis",
    default: "",
    doc: "Name that the server's certificate must have. Empty: the host that is connected to.",
  }),

  vaultAddr: httpUrl({
    variable: "VAULT_ADDR",
    group: "Vault",
    default: "",
    doc: "Vault server. With VAULT_ROLE_ID, REDIS_PASS_CURRENT, REDIS_PASS_NEXT and MOOG_API_KEY are read from " +
      "Vault if they are not set, at the start and while the service runs.",
  }),
  vaultRoleId: secret({
    variable: "VAULT_ROLE_ID",
    group: "Vault",
    doc: "Role ID for the login to Vault (AppRole).",
  }),
  vaultSecretId: secret({
    variable: "VAULT_SECRET_ID",
    group: "Vault",
    inFile: false,
    doc: "Secret ID of that role. Overrides VAULT_SECRET_ID_FILE, which MUTT's own services use.",
  }),
  vaultSecretIdPath: text({
    variable: "VAULT_SECRET_ID_FILE",
    group: "Vault",
    default: "/etc/mutt/secrets/vault_secret_id",
    doc: "File with the secret ID, read at every login.",
  }),
  vaultSecretsPath: vaultPath({
    variable: "VAULT_SECRETS_PATH",
    group: "Vault",
    default: "secret/mutt",
    doc: "Path of the secret (KV version 2) below the mount secret. As in MUTT's client, secret/mutt reads " +
      "/v1/secret/data/secret/mutt. After vault kv put secret/mutt/prod set mutt/prod.",
  }),
  vaultRenewThresholdMs: duration({
    variable: "VAULT_TOKEN_RENEW_THRESHOLD",
    group: "Vault",
    default: 3_600,
    min: 0,
    max: 31_536_000,
    unit: "seconds",
    doc: "Tokens that expire in less than this are renewed.",
  }),
  vaultCheckMs: duration({
    variable: "VAULT_RENEW_CHECK_INTERVAL",
    group: "Vault",
    default: 300,
    min: 1,
    max: 86_400,
    unit: "seconds",
    doc: "Time between checks of the token and the secrets. They are also checked when Redis refuses a password " +
      "from Vault.",
  }),
  vaultCaCertPath: text({
    variable: "VAULT_CACERT",
    group: "Vault",
    default: "",
    doc: "File with the certificate authority (PEM) of Vault, trusted in addition to the runtime's.",
  }),

  sloWindowMs: duration({
    variable: "REMEDIATION_SLO_WINDOW_HOURS",
    group: "Objectives",
    default: 24,
    min: 0.001,
    max: 720,
    unit: "hours",
    decimals: true,
    dynamicKey: "slo_window_hours",
    doc: "Window of the objectives (docs/slos.md). The dynamic key also sets the window of MUTT's own objectives.",
  }),
  sloDrainMs: duration({
    variable: "REMEDIATION_SLO_TIME_TO_DRAIN",
    group: "Objectives",
    default: 3_600,
    min: 1,
    max: 2_592_000,
    unit: "seconds",
    doc: "Maximum time to drain what is in a DLQ. Time in which nothing may be replayed does not count.",
  }),
  sloDrainTarget: decimal({
    ...SLO_TARGET,
    variable: "REMEDIATION_SLO_TIME_TO_DRAIN_TARGET",
    default: 0.95,
    doc: "Share of the time in which that must hold.",
  }),
  sloOldestAgeMs: duration({
    variable: "REMEDIATION_SLO_OLDEST_AGE",
    group: "Objectives",
    default: 14_400,
    min: 1,
    max: 31_536_000,
    unit: "seconds",
    doc: "Maximum time that a message waits in a DLQ, from when it was first seen there.",
  }),
  sloOldestAgeTarget: decimal({
    ...SLO_TARGET,
    variable: "REMEDIATION_SLO_OLDEST_AGE_TARGET",
    default: 0.95,
    doc: "Share of the time in which that must hold.",
  }),
  sloRedriveTarget: decimal({
    ...SLO_TARGET,
    variable: "REMEDIATION_SLO_REDRIVE_SUCCESS_TARGET",
    default: 0.95,
    doc: "Share of replayed messages that must not come back.",
  }),
  sloDownstreamTarget: decimal({
    ...SLO_TARGET,
    variable: "REMEDIATION_SLO_DOWNSTREAM_AVAILABILITY_TARGET",
    default: 0.99,
    doc: "Share of the time in which Moogsoft must accept events, as the probe sees it.",
  }),

  notifyPath: text({
    variable: "REMEDIATION_NOTIFY_PATH",
    group: "Notifications",
    default: "",
    doc:
      "File with the receivers of notices, and what they get (docs/notifications.md). Reread on SIGHUP and when it " +
      "changes. Unset: incidents are recorded, and sent to nobody.",
  }),

  metricsPort: integer({
    variable: "METRICS_PORT_REMEDIATION",
    group: "Ports and process",
    default: 8086,
    min: 0,
    max: 65_535,
    doc: "Port of /metrics. 0: any free port.",
  }),
  healthPort: integer({
    variable: "HEALTH_PORT_REMEDIATION",
    group: "Ports and process",
    default: 8087,
    min: 0,
    max: 65_535,
    doc: "Port of /health, /livez, /readyz and /api/v1/slo. 0: any free port.",
  }),
  bindAddress: host({
    variable: "REMEDIATION_BIND_ADDRESS",
    group: "Ports and process",
    default: "0.0.0.0",
    doc: "Address that all ports listen on. :: listens on IPv6 and, with Linux's defaults, on IPv4.",
  }),
  shutdownTimeoutMs: duration({
    variable: "REMEDIATION_SHUTDOWN_TIMEOUT",
    group: "Ports and process",
    default: 20,
    min: 1,
    max: 600,
    unit: "seconds",
    doc: "Maximum time from SIGTERM to exit. Keep it below the stop timeout of the supervisor.",
  }),
  dynamicConfigEnabled: boolean({
    variable: "DYNAMIC_CONFIG_ENABLED",
    group: "Ports and process",
    default: false,
    doc: "Let dynamic keys in Redis override settings at run time. With false none is read, not even MUTT's.",
  }),
  podName: text({
    variable: "POD_NAME",
    group: "Ports and process",
    default: "remediation-unknown",
    doc: "Name of this instance in logs. Need not be unique.",
  }),

  apiPort: integer({
    variable: "REMEDIATION_API_PORT",
    group: "API",
    default: 8088,
    min: 0,
    max: 65_535,
    doc: "Port of the API (docs/api.md). It is opened only if there are keys or a trusted proxy. 0: any free port.",
  }),
  apiKeys: secret({
    variable: "REMEDIATION_API_KEYS",
    group: "API",
    inFile: false,
    doc:
      "Comma-separated keys as name:role:digest. mutt-remediation key new makes one. Roles: viewer, operator, admin.",
  }),
  apiKeysPath: text({
    variable: "REMEDIATION_API_KEYS_FILE",
    group: "API",
    default: "",
    doc: "File with further keys, one a line; # begins a comment line. Read again when it changes.",
  }),
  apiCorsOrigins: origins({
    variable: "REMEDIATION_API_CORS_ORIGINS",
    group: "API",
    default: [],
    doc: "Comma-separated origins whose pages may call the API with a key.",
  }),
  trustedProxySecret: secret({
    variable: "REMEDIATION_TRUSTED_PROXY_SECRET",
    group: "API",
    doc: "Secret that an authenticating proxy sends with each request. Its user and groups are believed only with it.",
  }),
  trustedProxyAddresses: networks({
    variable: "REMEDIATION_TRUSTED_PROXY_ADDRESSES",
    group: "API",
    default: [],
    doc:
      "Comma-separated addresses and networks of that proxy, as this service sees them. Its headers are believed from " +
      "nowhere else. Unset: the secret alone decides.",
  }),
  trustedProxySecretHeader: headerName({
    variable: "REMEDIATION_TRUSTED_PROXY_SECRET_HEADER",
    group: "API",
    default: "x-proxy-secret",
    doc: "Header with that secret.",
  }),
  trustedProxyUserHeader: headerName({
    variable: "REMEDIATION_TRUSTED_PROXY_USER_HEADER",
    group: "API",
    default: "x-forwarded-user",
    doc: "Header with the user's name.",
  }),
  trustedProxyGroupsHeader: headerName({
    variable: "REMEDIATION_TRUSTED_PROXY_GROUPS_HEADER",
    group: "API",
    default: "x-forwarded-groups",
    doc: "Header with the user's groups, comma-separated.",
  }),
  trustedProxyRoles: pairs({
    variable: "REMEDIATION_TRUSTED_PROXY_ROLES",
    group: "API",
    default: "",
    doc: "Roles of the groups, as comma-separated group=role. The highest role counts; without one, access is refused.",
  }),
  localKeyPath: text({
    variable: "REMEDIATION_LOCAL_KEY_FILE",
    group: "Command line",
    default: "/run/mutt-remediation/local.json",
    doc:
      "File with the key of commands on this machine, below /run/mutt-remediation: written at each start if its directory " +
      "exists (docs/security.md#the-local-key). none: no such key.",
  }),
  clientUrl: httpUrl({
    variable: "REMEDIATION_URL",
    group: "Command line",
    default: "",
    doc: "Address of the API for commands, e.g. https://remediation.example.com. Default: the service on this machine.",
  }),
  clientCaCertPath: text({
    variable: "REMEDIATION_CA_CERT_PATH",
    group: "Command line",
    default: "",
    doc:
      "File with the certificate authority (PEM) that signed the certificate of REMEDIATION_URL. Trusted in addition to public ones.",
  }),
  clientKey: secret({
    variable: "REMEDIATION_API_KEY",
    group: "Command line",
    doc: "Key of the API for commands. Default: the local key of the service on this machine.",
  }),

  logLevel: choice({
    variable: "LOG_LEVEL",
    group: "Logs",
    default: "INFO",
    choices: LOG_LEVELS,
    synonyms: new Map<string, LogLevel>([["warn", "WARNING"], ["fatal", "CRITICAL"]]),
    doc: "Lowest level that is logged.",
  }),
  logJson: boolean({
    variable: "LOG_JSON_ENABLED",
    group: "Logs",
    default: null,
    doc: "Log JSON lines. Unset: JSON unless standard error is a terminal.",
  }),

  otelEnabled: boolean({
    variable: "OTEL_ENABLED",
    group: "Tracing",
    default: false,
    doc: "Record and send spans (docs/tracing.md). With false the tracing code is not even loaded.",
  }),
  otelSdkDisabled: boolean({
    variable: "OTEL_SDK_DISABLED",
    group: "Tracing",
    default: false,
    lenient: true,
    doc: "The standard's switch: true turns tracing off, even with OTEL_ENABLED=true.",
  }),
  otelExporter: choice({
    variable: "OTEL_TRACES_EXPORTER",
    group: "Tracing",
    default: "otlp",
    choices: ["otlp", "none"] as const,
    lenient: true,
    doc: "none: spans go nowhere, as if tracing were off.",
  }),
  otelEndpoint: collector({
    variable: "OTEL_EXPORTER_OTLP_ENDPOINT",
    group: "Tracing",
    default: "http://localhost:4318",
    lenient: true,
    doc: "URL of the collector; spans are posted to /v1/traces below it. Do not use the gRPC port 4317 that MUTT's " +
      "own settings name: nothing is traced then, and a warning says so.",
  }),
  otelTracesEndpoint: collector({
    variable: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    group: "Tracing",
    default: "",
    lenient: true,
    doc: "Full URL that spans are posted to. Overrides OTEL_EXPORTER_OTLP_ENDPOINT.",
  }),
  otelProtocol: choice({
    variable: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    aliases: ["OTEL_EXPORTER_OTLP_PROTOCOL"],
    group: "Tracing",
    default: null,
    choices: ["http/protobuf", "http/json", "grpc"] as const,
    lenient: true,
    doc: "Unset: http/protobuf. grpc is not supported: nothing is traced then, and a warning says so.",
  }),
  otelHeaders: secretHeaders({
    variable: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    aliases: ["OTEL_EXPORTER_OTLP_HEADERS"],
    group: "Tracing",
    lenient: true,
    doc: "Headers sent with the spans, for collectors that require a key. Example: authorization=Bearer%20KEY",
  }),
  otelTimeoutMs: integer({
    variable: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    aliases: ["OTEL_EXPORTER_OTLP_TIMEOUT"],
    group: "Tracing",
    default: 10_000,
    min: 1,
    max: 600_000,
    unit: "milliseconds",
    lenient: true,
    doc: "Timeout of one batch, retries included.",
  }),
  otelServiceName: text({
    variable: "OTEL_SERVICE_NAME",
    group: "Tracing",
    default: "",
    lenient: true,
    doc: "Name of this service on its spans. Empty: service.name in OTEL_RESOURCE_ATTRIBUTES, else remediation.",
  }),
  otelResourceAttributes: pairs({
    variable: "OTEL_RESOURCE_ATTRIBUTES",
    group: "Tracing",
    default: "",
    lenient: true,
    doc: "Further attributes of this service on its spans.",
  }),
  deploymentEnvironment: text({
    variable: "DEPLOYMENT_ENV",
    group: "Tracing",
    default: "production",
    lenient: true,
    doc: "deployment.environment on the spans.",
  }),
  otelSampler: choice({
    variable: "OTEL_TRACES_SAMPLER",
    group: "Tracing",
    default: "parentbased_always_on",
    choices: [
      "always_on",
      "always_off",
      "traceidratio",
      "parentbased_always_on",
      "parentbased_always_off",
      "parentbased_traceidratio",
    ] as const,
    lenient: true,
    doc: "Which traces are recorded. Every trace begins here, so parentbased_ makes no difference.",
  }),
  otelSamplerShare: share({
    variable: "OTEL_TRACES_SAMPLER_ARG",
    group: "Tracing",
    default: 1,
    lenient: true,
    doc: "Share of traces that traceidratio records.",
  }),
  otelScheduleDelayMs: integer({
    variable: "OTEL_BSP_SCHEDULE_DELAY",
    group: "Tracing",
    default: 5_000,
    min: 1,
    max: 600_000,
    unit: "milliseconds",
    lenient: true,
    doc: "Maximum time that a finished span waits for its batch.",
  }),
  otelExportTimeoutMs: integer({
    variable: "OTEL_BSP_EXPORT_TIMEOUT",
    group: "Tracing",
    default: 30_000,
    min: 1,
    max: 600_000,
    unit: "milliseconds",
    lenient: true,
    doc: "Another timeout of one batch; the shorter one counts.",
  }),
  otelMaxQueueSize: integer({
    variable: "OTEL_BSP_MAX_QUEUE_SIZE",
    group: "Tracing",
    default: 2_048,
    min: 1,
    max: 100_000,
    unit: "spans",
    lenient: true,
    doc: "Maximum finished spans that wait. Further ones are dropped and counted.",
  }),
  otelMaxBatchSize: integer({
    variable: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    group: "Tracing",
    default: 512,
    min: 1,
    max: 10_000,
    unit: "spans",
    lenient: true,
    doc: "Maximum spans per batch. A full batch is sent at once.",
  }),
} as const;

/** Name of a setting. */
export type SettingKey = keyof typeof FIELDS;

/** All settings, valid and immutable. Numbers carry their unit in the name; every duration is in milliseconds. */
export type Settings = {
  readonly [Key in SettingKey]: (typeof FIELDS)[Key] extends Field<infer T> ? T : never;
};

/** Every setting's name, in the order of the table. */
export const SETTING_KEYS = Object.keys(FIELDS) as readonly SettingKey[];

/** The settings when nothing at all is set. */
export const DEFAULT_SETTINGS: Settings = Object.freeze(
  Object.fromEntries(SETTING_KEYS.map((key) => [key, FIELDS[key].default])),
) as Settings;

/** The variables of a setting, highest precedence first; a secret's `NAME_FILE` follows its name. */
export function variablesOf(field: Field<unknown>): readonly string[] {
  const names = [field.variable, ...field.aliases];
  return field.inFile ? names.flatMap((name) => [name, fileVariable(name)]) : names;
}

/** The variable that names the file with a secret's value. */
export function fileVariable(variable: string): string {
  return `${variable}_FILE`;
}

/** Every variable that the service reads. */
export function knownVariables(): readonly string[] {
  return SETTING_KEYS.flatMap((key) => variablesOf(FIELDS[key]));
}

/**
 * The prefixes for `--allow-env`, each with its `*`: wide enough to see misspelt names and warn of them. A first word that
 * more than two variables share covers all of them; other variables are cut after their second word. Unread names of MUTT's template
 * are included in full. `LOG_TOKENS` and `LOG_STREAM` must not be seen: with them the YAML library prints what it reads.
 */
export function environmentPrefixes(): readonly string[] {
  const names = SETTING_KEYS.flatMap((key) => [FIELDS[key].variable, ...FIELDS[key].aliases]);
  const families = Map.groupBy(names, (name) => name.split("_")[0]);
  const prefixes = names.map((name) => {
    const [first, second] = name.split("_");
    return families.get(first)!.length > 2 ? `${first}_*` : `${first}_${second}*`;
  });
  const isSeen = (name: string) => prefixes.some((prefix) => name.startsWith(prefix.slice(0, -1)));
  return [...new Set([...prefixes, ...[...UNREAD_TEMPLATE_NAMES.keys()].filter((name) => !isSeen(name))])].sort();
}
