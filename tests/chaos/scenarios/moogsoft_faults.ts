/** A stand-in for Moogsoft that goes wrong in every way, and what must hold meanwhile. */
import { type HttpStub, startHttpStub, type StubAnswer } from "../../../testkit/http_stub.ts";
import { PLANTED } from "../../../testkit/planted_secrets.ts";

/** The key that no other host may see. */
export const API_KEY = PLANTED.moogApiKey;

/** More of a large body than is read: what the kernel's buffers swallow of each answer. */
const SWALLOWED_BYTES = 32e6;

/** A way to go wrong. */
export interface MoogFault {
  readonly name: string;
  /** `down`: nothing may be replayed; `up`: it answers that it is healthy, in a nasty way; `flaps`: now this, now that. */
  readonly kind: "down" | "up" | "flaps";
  /** What is answered; `null`: nobody listens. `elsewhere` is another host. */
  readonly answer: (elsewhere: string) => StubAnswer | null;
}

const redirect = (location: string): StubAnswer => ({ status: 307, headers: { location } });

export const MOOG_FAULTS: readonly MoogFault[] = [
  { name: "refuses", kind: "down", answer: () => null },
  { name: "resets", kind: "down", answer: () => ({ fault: "reset" }) },
  { name: "closes", kind: "down", answer: () => ({ fault: "close" }) },
  { name: "garbage", kind: "down", answer: () => ({ fault: "garbage" }) },
  { name: "hangs", kind: "down", answer: () => ({ fault: "hang" }) },
  { name: "hangs-in-headers", kind: "down", answer: () => ({ fault: "hang_in_headers" }) },
  { name: "hangs-in-body", kind: "down", answer: () => ({ fault: "hang_in_body" }) },
  { name: "answers-late", kind: "down", answer: () => ({ status: 200, delayMs: 60_000 }) },
  { name: "fails", kind: "down", answer: () => ({ status: 503 }) },
  { name: "redirects-in-circles", kind: "down", answer: () => redirect("/events") },
  { name: "redirects-elsewhere", kind: "down", answer: (elsewhere) => redirect(`${elsewhere}/events`) },
  { name: "gigabyte", kind: "up", answer: () => ({ fault: "gigabyte" }) },
  { name: "failing-gigabyte", kind: "down", answer: () => ({ fault: "gigabyte", status: 503 }) },
  { name: "flaps", kind: "flaps", answer: () => ({ status: 503 }) },
];

/** Moogsoft and another host beside it. */
export class Moogsoft implements AsyncDisposable {
  readonly port: number;
  #before = { requests: 0, bytes: 0 };
  #stub: HttpStub | null;
  readonly #elsewhere: HttpStub;

  private constructor(stub: HttpStub, elsewhere: HttpStub) {
    this.port = stub.port;
    this.#stub = stub;
    this.#elsewhere = elsewhere;
  }

  /** Starts both; healthy. */
  static async start(): Promise<Moogsoft> {
    return new Moogsoft(await startHttpStub(), await startHttpStub());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  /** Requests, and bytes of large bodies, so far. */
  get sent(): { requests: number; bytes: number } {
    const { requests, bytes } = this.#before, stub = this.#stub;
    return { requests: requests + (stub?.requests.length ?? 0), bytes: bytes + (stub?.endlessBytes ?? 0) };
  }

  /** What is wrong where more than the beginning of its answers was read since then. */
  readTooMuch(before = { requests: 0, bytes: 0 }): string[] {
    const requests = this.sent.requests - before.requests, bytes = this.sent.bytes - before.bytes;
    // One that was answered before may go on still.
    return bytes > (requests + 1) * SWALLOWED_BYTES ? [`${bytes} bytes went out in ${requests} answers`] : [];
  }

  /** Connections open to it now. */
  get connections(): number {
    return this.#stub?.connections ?? 0;
  }

  /** Requests that went to the other host: none may. */
  get astray(): number {
    return this.#elsewhere.requests.length;
  }

  /** Goes wrong from now on. What hangs already goes on hanging. */
  async break(fault: MoogFault): Promise<void> {
    await this.#become(fault.answer(this.#elsewhere.url));
  }

  /** Is healthy from now on. */
  async heal(): Promise<void> {
    await this.#become({ status: 200 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#become(null);
    await this.#elsewhere.stop();
  }

  async #become(answer: StubAnswer | null): Promise<void> {
    if (answer) {
      this.#stub ??= await startHttpStub({ port: this.port });
      this.#stub.answer(answer);
    } else if (this.#stub) {
      const stub = this.#stub;
      this.#before = this.sent;
      this.#stub = null;
      await stub.stop();
    }
  }
}
