/**
 * A fake Vault: implements AppRole, expiring tokens and KV version 2 as documented in Vault's HTTP API. MUTT's own
 * client (hvac 0.11) works with it. Its errors repeat the whole request.
 */
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { PLANTED } from "./planted_secrets.ts";
import { certificateFiles } from "./tls.ts";

/** A received request. */
export interface VaultRequest {
  /** Method and path: `GET /v1/secret/data/secret/mutt`. */
  readonly asked: string;
  readonly token: string | undefined;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** A running Vault. */
export class TestVault implements AsyncDisposable {
  readonly requests: VaultRequest[] = [];
  /** Secret at a path below the mount `secret`; `null`: a deleted version. */
  readonly secrets = new Map<string, Readonly<Record<string, unknown>> | null>();
  roleId: string = PLANTED.vaultRoleId;
  secretId: string = PLANTED.vaultSecretId;
  /** Lifetime of a token from login or renewal, and maximum lifetime from login, in seconds. */
  tokenSeconds = 3_600;
  longestSeconds = Infinity;
  renewable = true;
  refusesRenewal = false;
  /** Whether the role's policy denies the secrets. */
  deniesReads = false;
  /** If set, the answer to every request; a text is sent unchanged. */
  always: { readonly status: number; readonly headers?: Record<string, string>; readonly text?: string } | null = null;
  readonly #server: http.Server;
  readonly #scheme: string;
  readonly #tokens = new Map<string, { bornMs: number; endsMs: number }>();
  #logins = 0;

  private constructor(server: http.Server, scheme: string) {
    this.#server = server;
    this.#scheme = scheme;
  }

  /** Starts a Vault on a free port of loopback, or on `port`. With `tls` it uses the certificate `localhost`. */
  static async start({ port = 0, tls = false }: { port?: number; tls?: boolean } = {}): Promise<TestVault> {
    const { cert, key } = certificateFiles("localhost");
    const server = tls
      ? https.createServer({ cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) })
      : http.createServer();
    const vault = new TestVault(server, tls ? "https" : "http");
    server.on("request", (request, response) => vault.#take(request, response));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return vault;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /** Variables with which the service finds it, without any file. */
  get env(): Record<string, string> {
    return { VAULT_ADDR: this.url, VAULT_ROLE_ID: this.roleId, VAULT_SECRET_ID: this.secretId };
  }

  /** Requests so far, in order. */
  asked(): string[] {
    return this.requests.map(({ asked }) => asked);
  }

  revokeTokens(): void {
    this.#tokens.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse): void {
    let body = "";
    request.on("data", (part) => body += part);
    request.on("end", () => {
      const asked = `${request.method} ${request.url}`, token = request.headers["x-vault-token"] as string | undefined;
      this.requests.push({ asked, token, body });
      const { always } = this;
      if (always) return response.writeHead(always.status, always.headers).end(always.text ?? echo({ body, token }));
      const answer = this.#answer(asked, { token: token ?? "", body });
      response.writeHead(answer.status, { "content-type": "application/json" })
        .end(answer.body === undefined ? echo({ body, token }) : JSON.stringify(answer.body));
    });
  }

  #answer(asked: string, { token, body }: { token: string; body: string }): Answer {
    if (asked === "POST /v1/auth/approle/login") return this.#logIn(JSON.parse(body));
    const life = this.#tokens.get(token);
    const diesMs = life ? Math.min(life.endsMs, life.bornMs + this.longestSeconds * 1_000) : 0;
    if (!life || diesMs <= performance.now()) return { status: 403 };
    if (asked === "GET /v1/auth/token/lookup-self") {
      const ttl = Math.ceil((life.endsMs - performance.now()) / 1_000);
      return { status: 200, body: { data: { ttl, renewable: this.renewable, policies: ["default", "mutt"] } } };
    }
    if (asked === "POST /v1/auth/token/renew-self") {
      if (!this.renewable || this.refusesRenewal) return { status: 400 };
      life.endsMs = Math.min(performance.now() + this.tokenSeconds * 1_000, life.bornMs + this.longestSeconds * 1_000);
      return { status: 200, body: { auth: this.#describe(token, life.endsMs) } };
    }
    const path = /^GET \/v1\/secret\/data\/(.+)$/.exec(asked)?.[1];
    if (path !== undefined && this.deniesReads) return { status: 403 };
    const secret = path === undefined ? undefined : this.secrets.get(path);
    if (secret === undefined) return { status: 404 };
    return { status: secret === null ? 404 : 200, body: { data: { data: secret, metadata: { version: 1 } } } };
  }

  #logIn(login: { role_id?: string; secret_id?: string }): Answer {
    if (login.role_id !== this.roleId || login.secret_id !== this.secretId) return { status: 400 };
    const token = `${PLANTED.vaultToken}.${++this.#logins}`;
    const endsMs = performance.now() + Math.min(this.tokenSeconds, this.longestSeconds) * 1_000;
    this.#tokens.set(token, { bornMs: performance.now(), endsMs });
    return { status: 200, body: { auth: this.#describe(token, endsMs) } };
  }

  #describe(token: string, endsMs: number) {
    const seconds = Math.ceil((endsMs - performance.now()) / 1_000);
    return { client_token: token, lease_duration: seconds, renewable: this.renewable, policies: ["default", "mutt"] };
  }
}

function echo({ body, token }: { body: string; token: string | undefined }): string {
  return JSON.stringify({ errors: [`permission denied: ${body} ${token}`] });
}
