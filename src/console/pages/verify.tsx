/** Checks the chains of the journals, and says in words what that proves. */
import { verify } from "../../operations/verify.ts";
import { count, plural } from "../format.ts";
import type { Html, Page } from "../page.ts";
import { Card, Chip, Trouble } from "../parts.tsx";
import { isError, settle, type VerifiedJournal } from "../readings.ts";

/** The check, made when the page is asked for. */
export const verifyPage: Page = {
  path: "/journal/verify",
  section: "/journal",
  isLive: false,
  title: () => "Verify the journal",
  async render({ reader, url }) {
    const text = url.searchParams.get("copies") ?? "";
    const copies = text.split(/[\r\n]+/).map((line) => line.trim()).filter((line) => line !== "");
    const found = await settle(reader.read(verify, copies.length === 0 ? {} : { copies }));
    return (
      <>
        <p class="crumbs">
          <a href="/journal">Journal</a> / Verify
        </p>
        <div class="stack">
          {isError(found)
            ? (
              <Card title="The journals could not be verified">
                <Trouble error={found} />
              </Card>
            )
            : (
              <>
                <Verdict isIntact={found.intact} hasCopies={copies.length > 0} />
                <Card title="Journals">
                  <ol class="verified">{found.journals.map((journal) => <Verified journal={journal} />)}</ol>
                </Card>
              </>
            )}
          <Copies text={text} heads={isError(found) ? [] : found.journals} />
        </div>
      </>
    ) as Html;
  },
};

function Verdict({ isIntact, hasCopies }: { isIntact: boolean; hasCopies: boolean }): Html {
  if (!isIntact) {
    return (
      <Card title="A journal was changed" kind="mark bad">
        <p class="pad">
          The entries no longer fit each other. Below is each place where the chain breaks, and what that proves. A
          person or a program with access to Redis did this, or Redis lost data when it was restored.
        </p>
      </Card>
    ) as Html;
  }
  return (
    <Card title="Every journal is intact" kind="mark good">
      <p class="pad">
        Each entry holds the hash of the one before, and the newest hash is kept beside the journal. All of them fit: no
        entry that is kept was changed, removed or added. {hasCopies
          ? "They also fit the heads that you copied earlier, so the chain has not been rewritten since then."
          : "A person who may write to Redis could have rewritten the whole chain. Compare with a copy of the heads, kept elsewhere, to rule that out."}
      </p>
    </Card>
  ) as Html;
}

function Verified(
  { journal: { name, intact, entries, trimmed, unwritten, breaks } }: { journal: VerifiedJournal },
): Html {
  const facts = [
    entries === 0
      ? "It has no entries yet."
      : `${plural(entries, "entry").replace("entrys", "entries")} fit each other.`,
    ...trimmed > 0 ? [`${count(trimmed)} older ones were removed because the journal was full, as it should be.`] : [],
    ...unwritten > 0
      ? [`${count(unwritten)} were refused by Redis and are missing: its user may not call XADD (docs/redis.md).`]
      : [],
  ];
  return (
    <li>
      <b>{name}</b>
      <Chip mood={intact ? "good" : "bad"}>{intact ? "intact" : "broken"}</Chip>
      <span>{(intact ? facts : facts.slice(1)).join(" ")}</span>
      {breaks.length > 0 && (
        <ol class="breaks">
          {breaks.map(({ kind, after, before, text }) => (
            <li>
              <b>{kind}</b>: {text}
              <span class="k mono">{` between ${after ?? "its begin"} and ${before ?? "its end"}`}</span>
            </li>
          ))}
        </ol>
      )}
    </li>
  ) as Html;
}

function Copies({ text, heads }: { text: string; heads: readonly VerifiedJournal[] }): Html {
  const now = heads.flatMap(({ name, head }) => head === null ? [] : [`${name}=${head}`]);
  return (
    <Card title="Heads">
      <div class="pad stack">
        <p>
          The head of a journal is the number and the hash of its newest entry. Keep a copy elsewhere, for instance in a
          ticket, and check against it later.
        </p>
        {now.length > 0 && <pre class="mono block" tabindex={0}>{now.join("\n")}</pre>}
        {now.length > 0 && (
          <p>
            <button class="btn" type="button" data-copy={now.join("\n")}>Copy heads</button>
          </p>
        )}
        <form class="stack" action="/journal/verify">
          <label class="field">
            Check against heads that you copied earlier <small>One a line</small>
            <textarea name="copies" rows={3} placeholder={now[0] ?? "audit=12 9f…"}>{text}</textarea>
          </label>
          <div>
            <button class="btn go" type="submit">Verify again</button>
          </div>
        </form>
      </div>
    </Card>
  ) as Html;
}
