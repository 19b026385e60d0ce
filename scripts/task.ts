/**
 * Entry point of every task of `deno.json`: checks Deno's version, then loads the task.
 *
 * An old Deno must be able to run this file, so it has no static imports and no syntax newer than Deno 1.40. (Deno
 * before 2.3 refuses the lock file and reports by itself that it is too old.)
 */
const [major, minor] = Deno.version.deno.split(".").map(Number) as [number, number];
if (major < 2 || (major === 2 && minor < 8)) {
  const pinned = Deno.readTextFileSync(new URL("../.deno-version", import.meta.url)).trim();
  const command = ["task", ...Deno.args].join(" ");
  console.error(`Deno 2.8 or newer is required, this is ${Deno.version.deno}: run  npx -y deno@${pinned} ${command}`);
  Deno.exit(1);
}
const { runTask } = await import("./tasks.ts");
Deno.exit(await runTask(Deno.args[0] ?? "", Deno.args.slice(1)));

export {};
