/**
 * What commands load: the only dynamic imports of this room. A command's module holds its flags, its help and its output;
 * its action loads what it needs from here. So `version` and `--help` load nothing else, and no command loads what only
 * another one needs.
 */
export const NEEDS = {
  settings: () => import("./settings.ts"),
  gateNames: () => import("../operations/gate_names.ts"),
  observers: () => import("./observers.ts"),
  askService: () => import("./ask_service.ts"),
  commandContext: () => import("../app/command_context.ts"),
  quietContext: () => import("./quiet_context.ts"),
  config: () => import("../operations/config.ts"),
  check: () => import("../operations/check.ts"),
  once: () => import("../operations/once.ts"),
  discover: () => import("../operations/discover.ts"),
  flagSource: () => import("../config/flag_source.ts"),
  sourcesText: () => import("../config/sources_text.ts"),
  redact: () => import("../config/redact.ts"),
  dlqNames: () => import("../config/dlq_names.ts"),
  createKey: () => import("../config/create_key.ts"),
  complete: () => import("./complete.ts"),
  top: () => import("./top.ts"),
  runApi: () => import("./run_api.ts"),
  service: () => import("../app/service.ts"),
} as const;
