/** The API of the service: its dependencies, loaded with the first request. */
import { Api } from "../api/api.ts";
import { rolesOfGroups, type TrustedProxy } from "../api/authenticate.ts";
import { KeyRing } from "../api/key_ring.ts";
import { type ApiKey, parseApiKeys } from "../config/api_keys.ts";
import type { Settings } from "../config/fields.ts";
import { readApiKeysFile } from "../config/load.ts";
import { parseNetwork } from "../config/networks.ts";
import { parsePairs } from "../config/pairs.ts";
import type { OperatorContext, ServiceContext } from "../operations/context.ts";
import { OPERATIONS } from "../operations/registry.ts";
import { ApiStore } from "../redis/api_store.ts";
import type { Core } from "./core.ts";
import { createFeeds } from "./event_feeds.ts";
import { VERSION } from "./version.ts";

/** Dependencies of {@link createApi}. */
export interface ApiPortOptions {
  readonly settings: Settings;
  readonly core: Pick<Core, "connections" | "journal" | "metrics">;
  readonly context: ServiceContext;
  readonly mostEventClients: number;
  /** Valid beside the configured keys. */
  readonly localKey: ApiKey | null;
}

/** Creates the API over the running service. */
export function createApi({ settings, core, context, mostEventClients, localKey }: ApiPortOptions): Api {
  const { clock } = context, log = context.log.child("api");
  const parsed = parseApiKeys(settings.apiKeys?.reveal() ?? "", "list");
  return new Api({
    ...{ clock, log, mostEventClients, version: VERSION, metrics: core.metrics, corsOrigins: settings.apiCorsOrigins },
    operations: OPERATIONS,
    contextFor: (call): OperatorContext => ({ ...context, ...call }),
    feeds: createFeeds(context, core.journal),
    keys: new KeyRing({
      ...{ clock, log, readFile: () => readApiKeysFile(settings) },
      fixed: [...parsed.ok ? parsed.keys : [], ...localKey ? [localKey] : []],
    }),
    proxy: createProxy(settings),
    store: new ApiStore(core.connections.reader),
  });
}

function createProxy(settings: Settings): TrustedProxy | null {
  const { trustedProxySecret: secret } = settings;
  return secret && {
    secret,
    addresses: settings.trustedProxyAddresses.flatMap((text) => parseNetwork(text) ?? []),
    secretHeader: settings.trustedProxySecretHeader,
    userHeader: settings.trustedProxyUserHeader,
    groupsHeader: settings.trustedProxyGroupsHeader,
    roles: rolesOfGroups(parsePairs(settings.trustedProxyRoles) ?? []),
  };
}
