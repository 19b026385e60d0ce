/**
 * Where every task of `deno.json` starts: checks Deno's version, then loads the rest.
 *
 * An old Deno must get this far, so there is no static import and no syntax newer than Deno 1.40 here. (Deno before 2.3
 * refuses the lock file before it starts anything, and says itself that it is too old.)
 */
const [major, minor] = Deno.version.deno.split(".").map(Number) as [number, number];
if (major < 2 || (major === 2 && minor < 8)) {
  const pinned = Deno.readTextFileSync(new URL("../.deno-version", import.meta.url)).trim();
  const command = ["task", ...Deno.args].join(" ");
  console.error(`This needs Deno 2.8 or newer, here is ${Deno.version.deno}: run  npx -y deno@${pinned} ${command}`);
  Deno.exit(1);
}
const { runTask } = await import("./tasks.ts");
Deno.exit(await runTask(Deno.args[0] ?? "", Deno.args.slice(1)));

export {};
