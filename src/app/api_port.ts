/** The API of the service: its dependencies, loaded with the first request. */
import { Api } from "../api/api.ts";
import { rolesOfGroups, type TrustedProxy } from "../api/authenticate.ts";
import { KeyRing } from "../api/key_ring.ts";
import { type ApiKey, parseApiKeys } from "../config/api_keys.ts";
import type { Settings } from "../config/fields.ts";
import { readApiKeysFile } from "../config/load.ts";
import { parseNetwork } from "../config/networks.ts";
import { parsePairs } from "../config/pairs.ts";
import { createSite } from "../console/site.tsx";
import type { Actor, OperatorContext, ServiceContext } from "../operations/context.ts";
import { checkInput } from "../operations/input.ts";
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

/** Who reads what the console shows to everybody. */
const CONSOLE: Actor = { name: "console", role: "viewer" };

/** Creates the API over the running service. */
export function createApi({ settings, core, context, mostEventClients, localKey }: ApiPortOptions): Api {
  const { clock } = context, log = context.log.child("api");
  const parsed = parseApiKeys(settings.apiKeys?.reveal() ?? "", "list");
  // What several people look at is read as a viewer: their role decides only which actions are offered.
  const shared: OperatorContext = { ...context, actor: CONSOLE, correlationId: null };
  const site = createSite({
    ...{ clock, log, pod: context.podName, version: VERSION },
    reader: {
      read: async (operation, input) => await operation.run(shared, checkInput(operation.input, input)),
      stream: (operation, input, signal) => operation.run({ ...shared, signal }, checkInput(operation.input, input)),
    },
  });
  return new Api({
    site,
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
