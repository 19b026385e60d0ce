/**
 * A real OTLP/HTTP receiver: accepts `/v1/traces` in both encodings like a collector, and keeps the spans. It parses
 * Protobuf by the field numbers of opentelemetry-proto's trace.proto, independently of the sender's encoder. All
 * request bodies pass through the secrets net, because spans leave the machine.
 */
import { Buffer } from "node:buffer";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { watchOutput } from "./secrets_net.ts";

/** A received span. Ids are hexadecimal; times are nanoseconds since the epoch. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root span. */
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 internal, 3 client, as in the standard. */
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 0 unset, 1 ok, 2 error. */
  readonly status: number;
  /** Attributes of the sending service. */
  readonly resource: Readonly<Record<string, unknown>>;
}

/** A running receiver. */
export interface OtlpReceiver extends AsyncDisposable {
  readonly port: number;
  /** Value for OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Spans so far, in order of arrival. */
  readonly spans: readonly ReceivedSpan[];
  /** Requests so far: path, and headers by lower-case name. */
  readonly requests: readonly { readonly path: string; readonly headers: Readonly<Record<string, unknown>> }[];
  /** Sets the status of later answers; initially 200. */
  answer(status: number): void;
}

/** Starts a receiver on a free port of loopback, or on `port`. */
export async function startOtlpReceiver({ port = 0 }: { port?: number } = {}): Promise<OtlpReceiver> {
  const receiver = new Receiver();
  await receiver.listen(port);
  return receiver;
}

class Receiver implements OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly requests: { path: string; headers: Record<string, unknown> }[] = [];
  readonly #server = http.createServer((request, response) => this.#take(request, response));
  #status = 200;

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  answer(status: number): void {
    this.#status = status;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse): void {
    const parts: Uint8Array[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts), type = request.headers["content-type"];
      this.requests.push({ path: request.url ?? "", headers: request.headers });
      watchOutput("spans, as they were sent", body.toString("latin1"));
      const isTaken = this.#status === 200;
      const read = type === "application/json" ? readJson(body) : readProtobuf(body);
      watchOutput("spans", JSON.stringify(read, (_, one) => typeof one === "bigint" ? String(one) : one));
      if (isTaken) this.spans.push(...read);
      // Like the collector: an empty message in the encoding of the request.
      response.writeHead(this.#status, { "content-type": type }).end(type === "application/json" ? "{}" : "");
    });
  }
}

// deno-lint-ignore no-explicit-any
type Json = any;

function readJson(body: Buffer): ReceivedSpan[] {
  const attributes = (list: Json[] = []) =>
    Object.fromEntries(list.map(({ key, value }) => {
      const [kind, one] = Object.entries(value)[0]!;
      return [key, kind === "intValue" ? Number(one) : one];
    }));
  return JSON.parse(body.toString()).resourceSpans.flatMap(({ resource, scopeSpans }: Json) =>
    scopeSpans.flatMap(({ spans }: Json) =>
      spans.map((span: Json): ReceivedSpan => ({
        ...{ traceId: span.traceId, spanId: span.spanId, parentSpanId: span.parentSpanId ?? "" },
        ...{ name: span.name, kind: span.kind, status: span.status?.code ?? 0 },
        ...{ startNs: BigInt(span.startTimeUnixNano), endNs: BigInt(span.endTimeUnixNano) },
        ...{ attributes: attributes(span.attributes), resource: attributes(resource?.attributes) },
      }))
    )
  );
}

function readProtobuf(body: Buffer): ReceivedSpan[] {
  return all(fields(body), 1).flatMap((resourceSpans) => {
    const parts = fields(resourceSpans);
    const resource = readAttributes(all(fields(all(parts, 1)[0] ?? Buffer.alloc(0)), 1));
    return all(parts, 2).flatMap((scopeSpans) => all(fields(scopeSpans), 2)).map((span): ReceivedSpan => {
      const of = fields(span);
      const bytes = (number: number) => all(of, number)[0] ?? Buffer.alloc(0);
      const status = fields(bytes(15)).find(({ number }) => number === 3)?.value ?? 0n;
      return {
        ...{
          traceId: bytes(1).toString("hex"),
          spanId: bytes(2).toString("hex"),
          parentSpanId: bytes(4).toString("hex"),
        },
        ...{ name: bytes(5).toString(), kind: Number(whole(of, 6)), status: Number(status) },
        ...{ startNs: whole(of, 7), endNs: whole(of, 8) },
        ...{ attributes: readAttributes(all(of, 9)), resource },
      };
    });
  });
}

interface WireField {
  readonly number: number;
  readonly value: bigint | Buffer;
}

/** Parses the fields of a message, with the four wire types in use. */
function fields(message: Buffer): WireField[] {
  const found: WireField[] = [];
  let at = 0;
  const varint = () => {
    for (let value = 0n, shift = 0n;; shift += 7n) {
      const byte = message.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number) => message.subarray(at, at += length);
  while (at < message.length) {
    const tag = Number(varint()), number = tag >> 3, kind = tag & 7;
    if (kind === 0) found.push({ number, value: varint() });
    else if (kind === 1) found.push({ number, value: take(8).readBigUInt64LE() });
    else if (kind === 2) found.push({ number, value: take(Number(varint())) });
    else if (kind === 5) found.push({ number, value: BigInt(take(4).readUInt32LE()) });
    else throw new Error(`no protobuf: kind ${kind} at ${at}`);
  }
  return found;
}

function all(of: readonly WireField[], number: number): Buffer[] {
  return of.flatMap((field) => field.number === number && field.value instanceof Buffer ? [field.value] : []);
}

function whole(of: readonly WireField[], number: number): bigint {
  const value = of.find((field) => field.number === number)?.value;
  return typeof value === "bigint" ? value : 0n;
}

function readAttributes(pairs: readonly Buffer[]): Record<string, unknown> {
  return Object.fromEntries(pairs.map((pair) => {
    const [key, value] = [all(fields(pair), 1)[0]!, fields(all(fields(pair), 2)[0]!)[0]!];
    if (value.number === 1) return [key.toString(), value.value.toString()];
    if (value.number === 2) return [key.toString(), value.value === 1n];
    if (value.number === 3) return [key.toString(), Number(BigInt.asIntN(64, value.value as bigint))];
    throw new Error(`an attribute of kind ${value.number}, which no span of this service has`);
  }));
}
