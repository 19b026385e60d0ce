/** What requests carry through Hono. */
import type { Context } from "hono";
import type { Visit } from "../http/door.ts";
import type { Caller } from "./authenticate.ts";

/** Bindings and variables of a request. */
export interface Env {
  Bindings: { visit: Visit };
  /** `outlivesClient`: whether the request goes on when its client has gone. */
  Variables: { correlationId: string; route: string; caller: Caller; outlivesClient?: boolean };
}
/** A request with its answer. */
export type Ctx = Context<Env>;
