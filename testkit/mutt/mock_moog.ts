/**
 * A mock Moogsoft: accepts every event, or fails as configured. `demo/mock_moog.ts` is the program, for compose.
 *
 * - `POST` to any path: 200 `{"status":"accepted"}`, or the configured status, like MUTT's two mocks
 * - `GET /health`: always 200; it reports the mock itself
 * - `GET /stats`: `{"count","refused","last"}`: accepted events, refused events, the last accepted event
 * - `PUT /status` with a body such as `503`: sets the status of later POSTs
 */

/** A running mock. */
export interface MockMoog {
  readonly port: number;
  /** URL for events. */
  readonly url: string;
  readonly stats: MoogStats;
  /** Sets the status of later POSTs (200-599). */
  answerWith(status: number): void;
  /** Sets the delay of later POSTs, in milliseconds; initially 0. */
  delayBy(ms: number): void;
  /** Cuts every connection and stops listening. */
  stop(): Promise<void>;
}

/** Counts of the mock. */
export interface MoogStats {
  readonly count: number;
  readonly refused: number;
  /** The last accepted event; `null` before the first. */
  readonly last: string | null;
}

/** Starts a mock; `port` 0 (default): any free one, `hostname` default 127.0.0.1. */
export function startMockMoog({ port = 0, hostname = "127.0.0.1" } = {}): MockMoog {
  const state: MoogState = { status: 200, delayMs: 0, stats: { count: 0, refused: 0, last: null } };
  const cut = new AbortController();
  const server = Deno.serve(
    { port, hostname, signal: cut.signal, onListen: () => {} },
    (request) => answer(request, state),
  );
  return {
    port: server.addr.port,
    url: `http://${hostname}:${server.addr.port}/events`,
    get stats() {
      return state.stats;
    },
    answerWith: (status) => state.status = status,
    delayBy: (ms) => state.delayMs = ms,
    stop() {
      cut.abort();
      return server.finished;
    },
  };
}

interface MoogState {
  status: number;
  delayMs: number;
  stats: MoogStats;
}

async function answer(request: Request, state: MoogState): Promise<Response> {
  const { pathname } = new URL(request.url);
  switch (`${request.method} ${pathname}`) {
    case "GET /health":
      return Response.json({ status: "healthy", service: "mock-moog" });
    case "GET /stats":
      return Response.json(state.stats);
    case "PUT /status":
      return changeStatus(await request.text(), state);
  }
  if (request.method === "POST") {
    const event = await request.text();
    if (state.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, state.delayMs));
    return takeEvent(event, state);
  }
  await request.body?.cancel();
  return Response.json({ error: "POST an event, GET /health or /stats, PUT /status" }, { status: 404 });
}

function takeEvent(event: string, state: MoogState): Response {
  const { status, stats } = state;
  if (status >= 300) {
    state.stats = { ...stats, refused: stats.refused + 1 };
    return Response.json({ status: "refused" }, { status });
  }
  state.stats = { ...stats, count: stats.count + 1, last: event };
  // A 204 has no body.
  return status === 204 ? new Response(null, { status }) : Response.json({ status: "accepted" }, { status });
}

function changeStatus(text: string, state: MoogState): Response {
  const status = Number(text);
  if (!/^[2-5]\d\d$/.test(text.trim())) {
    return Response.json({ error: `"${text.slice(0, 20)}" is not a status from 200 to 599` }, { status: 400 });
  }
  state.status = status;
  return Response.json({ status });
}
