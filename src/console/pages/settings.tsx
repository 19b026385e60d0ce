/** Every setting in force, with its default and where it comes from. Nothing can be changed here, and secrets are never shown. */
import { settings } from "../../operations/settings.ts";
import type { SettingsReport } from "../../operations/settings.ts";
import { plural } from "../format.ts";
import type { Html, Page } from "../page.ts";
import { Card, Chip, Empty } from "../parts.tsx";
import type { Setting, SourceInForce } from "../readings.ts";

/** The settings. */
export const settingsPage: Page = {
  path: "/settings",
  section: "/settings",
  isLive: false,
  title: () => "Settings",
  async render({ reader, url }) {
    const report = await reader.read(settings, {});
    const query = url.searchParams.get("q")?.trim() ?? "", onlySet = url.searchParams.get("only") === "set";
    return (
      <>
        <FilterForm query={query} onlySet={onlySet} />
        <div id="found" class="stack">
          <Found report={report} query={query} onlySet={onlySet} />
        </div>
      </>
    ) as Html;
  },
};

function FilterForm({ query, onlySet }: { query: string; onlySet: boolean }): Html {
  return (
    <form
      class="card filter"
      action="/settings"
      role="search"
      hx-get="/settings"
      hx-trigger="input changed delay:200ms from:#q, change, submit"
      hx-target="#found"
      hx-select="#found"
      hx-swap="outerHTML"
      hx-push-url="true"
    >
      <label class="field">
        Find
        <input
          id="q"
          type="search"
          name="q"
          value={query}
          placeholder="a word of the name, value or description"
          autocomplete="off"
        />
      </label>
      <label class="check">
        <input type="checkbox" name="only" value="set" checked={onlySet} /> only what is set
      </label>
      <div class="acts">
        <button class="btn go" type="submit">Find</button>
      </div>
    </form>
  ) as Html;
}

function Found({ report, query, onlySet }: { report: SettingsReport; query: string; onlySet: boolean }): Html {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const fits = (...texts: readonly (string | null)[]) => {
    const text = texts.join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const found = report.settings.filter((one) =>
    (!onlySet || one.origin !== "default") &&
    fits(one.variable, one.value, one.description, one.group, one.origin, one.dynamicKey)
  );
  const shared = report.shared.filter(({ key, value, description }) =>
    (!onlySet || value !== null) && fits(key, value, description)
  );
  const sources = report.sources.filter((source) => fits(source.name, source.dlq, source.target, source.dead));
  const groups = [...new Set(found.map(({ group }) => group))];
  return (
    <>
      <p class="k">
        {`${plural(found.length, "setting")} of ${report.settings.length}. `}
        {report.dotEnvPath === "" ? "No .env was read." : `.env: ${report.dotEnvPath}.`}{" "}
        Settings are read at the start; a dynamic key in Redis overrides one while the service runs. They cannot be
        changed here.
      </p>
      {groups.length > 1 && (
        <nav class="contents" aria-label="Groups of settings">
          {groups.map((group) => <a href={`#${idOf(group)}`}>{group}</a>)}
        </nav>
      )}
      {report.warnings.length > 0 && words.length === 0 && <Warnings warnings={report.warnings} />}
      {groups.map((group) => <Group name={group} settings={found.filter((one) => one.group === group)} />)}
      {shared.length > 0 && <Shared shared={shared} />}
      {sources.map((source) => <Source source={source} />)}
      {found.length + shared.length + sources.length === 0 && (
        <Card title="No setting fits">
          <Empty>
            Look for a part of a name, such as <a href="/settings?q=redis">redis</a>, or at{" "}
            <a href="/settings">all settings</a>.
          </Empty>
        </Card>
      )}
    </>
  ) as Html;
}

function idOf(group: string): string {
  return group.toLowerCase().replaceAll(" ", "-");
}

function Warnings({ warnings }: { warnings: readonly string[] }): Html {
  return (
    <Card title="Warnings" kind="mark warn">
      <ul class="pad stack">{warnings.map((warning) => <li>{warning}</li>)}</ul>
    </Card>
  ) as Html;
}

function Group({ name, settings }: { name: string; settings: readonly Setting[] }): Html {
  return (
    <Card title={name} id={idOf(name)}>
      <table class="table settings">
        <thead>
          <tr>
            <th>Setting</th>
            <th>Value</th>
            <th>Default</th>
            <th>From</th>
          </tr>
        </thead>
        <tbody>
          {settings.map(({ variable, value, unit, origin, dynamicKey, description, ...one }) => (
            <tr>
              <td>
                <code>{variable}</code>
                <p class="k">{description}</p>
              </td>
              <td class={origin === "default" ? "mono" : "mono own"}>
                {value === "" ? <span class="k">not set</span> : <bdi>{value}</bdi>}
                {value !== "" && unit !== "" && <small>{` ${unit}`}</small>}
              </td>
              <td class="mono k" data-label="default">{one.default === "" ? "–" : one.default}</td>
              <td>
                {origin === "default" ? <span class="k">default</span> : <Chip mood="good">{origin}</Chip>}
                {dynamicKey !== null && <p class="k">{`mutt:config:${dynamicKey}`}</p>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  ) as Html;
}

function Shared({ shared }: Pick<SettingsReport, "shared">): Html {
  return (
    <Card title="Shared with MUTT, by keys in Redis">
      <table class="table settings">
        <tbody>
          {shared.map(({ key, value, unit, description }) => (
            <tr>
              <td>
                <code>{`mutt:config:${key}`}</code>
                <p class="k">{description}</p>
              </td>
              <td class="mono">
                {value === null ? <span class="k">not set</span> : <bdi>{value}</bdi>}
                {value !== null && unit !== "" && <small>{` ${unit}`}</small>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  ) as Html;
}

function describeRecord(
  { record, recordId, recordFor }: Pick<SourceInForce, "record" | "recordId" | "recordFor">,
): string {
  if (record === "inside") return "in the messages";
  return `beside the messages, by ${recordId === null ? "their digest" : recordId}, for ${recordFor} h`;
}

function Source({ source }: { source: SourceInForce }): Html {
  const { name, origin, push, dlq, target, dead, gates, show, groupBy, secret, cutOnReplay, required, ...more } =
    source;
  const { unwrap } = more;
  const lines: readonly (readonly [string, string])[] = [
    ...[["Dead-letter queue", dlq], ["Target", target], ["Dead list", dead]] as const,
    ...[["Pushed by", push], ["Gates", gates.join(", ")]] as const,
    ...unwrap === null ? [] : [["Replayed instead of the message", unwrap] as const],
    ...[["Shown", show], ["Grouped by", groupBy], ["Hidden beside the usual", secret]].map(([what, names]) =>
      [String(what), (names as readonly string[]).join(", ")] as const
    ),
    ...[["Cut on replay", cutOnReplay], ["Must have", required]].map(([what, names]) =>
      [String(what), (names as readonly string[]).join(", ")] as const
    ),
    ["Failures are counted", describeRecord(more)],
  ];
  return (
    <Card
      title={`Source ${name}`}
      aside={
        <span class="k">
          {origin} · <a href={`/sources/${encodeURIComponent(name)}`}>in force</a>
        </span>
      }
    >
      <dl class="glance">
        {lines.map(([what, value]) => (
          <div>
            <dt>{what}</dt>
            <dd class="mono">{value === "" ? <span class="k">none</span> : value}</dd>
          </div>
        ))}
      </dl>
    </Card>
  ) as Html;
}
