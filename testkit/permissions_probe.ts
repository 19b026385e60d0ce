/** Tries what the service must not be able to do and prints how each attempt ended, as JSON. Run by the e2e tests. */

const ATTEMPTS: Record<string, () => unknown> = {
  "reads a file": () => Deno.readTextFileSync("/etc/hostname"),
  "listens": () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
  "sees REDIS_HOST": () => Deno.env.get("REDIS_HOST") ?? refuse("absent"),
  "sees npm_command": () => Deno.env.get("npm_command") ?? refuse("absent"),
  "sees HOME": () => Deno.env.get("HOME") ?? refuse("absent"),
  "runs a program": () => new Deno.Command("true").outputSync(),
  "writes a file": () => Deno.writeTextFileSync(`/tmp/probe-${Deno.pid}`, ""),
  "asks for the host's name": () => Deno.hostname(),
  "loads a library": () => Deno.dlopen("libc.so.6", {}).close(),
};

function refuse(reason: string): never {
  throw new DOMException(reason, reason);
}

function attempt(action: () => unknown): string {
  try {
    action();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

console.log(
  JSON.stringify(Object.fromEntries(Object.entries(ATTEMPTS).map(([what, action]) => [what, attempt(action)]))),
);
