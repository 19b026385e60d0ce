/** The dashboard's file: what Grafana would stumble over, as far as that can be told without a Grafana. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { renderDashboard, ROWS } from "../../../scripts/dashboard.ts";

interface GridPos {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: GridPos;
  readonly datasource?: unknown;
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: unknown }[];
  readonly links?: readonly { readonly title: string; readonly url: string }[];
}

const text = renderDashboard();
const dashboard = JSON.parse(text) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
};
const { panels } = dashboard;
const shown = panels.filter(({ type }) => type !== "row");

Deno.test("dashboard: panels have an id of their own, lie within 24 columns, and on top of no other", () => {
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert.ok(x >= 0 && x + w <= 24 && w > 0 && h > 0, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const place = `${column},${line}`;
        assert.equal(taken.get(place), undefined, `${title} lies on ${taken.get(place)}`);
        taken.set(place, title);
      }
    }
  }
});

Deno.test("dashboard: no line of a row is left half empty", () => {
  const widths = Map.groupBy(panels, ({ gridPos }) => gridPos.y);
  for (const [y, line] of widths) assert.equal(line.reduce((sum, { gridPos }) => sum + gridPos.w, 0), 24, `line ${y}`);
});

Deno.test("dashboard: the first row answers whether it heals", () => {
  assert.deepEqual(ROWS[0]!.panels.map(({ title }) => title), [
    "Dead letters",
    "Oldest dead letter",
    "Replayed a minute",
    "Died a minute, by reason",
    "Gates",
    "Canary and ramp",
    "Most messages of a cycle",
  ]);
});

Deno.test("dashboard: every query goes to the chosen Prometheus, under a letter of its own", () => {
  for (const { title, targets = [] } of shown) {
    assert.ok(targets.length > 0, title);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    for (const { expr, refId, datasource } of targets) {
      assert.match(refId, /^[A-Z]$/);
      assert.ok(expr.length > 0, title);
      assert.deepEqual(datasource, { type: "prometheus", uid: "${datasource}" });
    }
  }
});

Deno.test("dashboard: names only variables that can be chosen, or that are Grafana's own", () => {
  const known = [...dashboard.templating.list.map(({ name }) => name), "__rate_interval", "__all"];
  const named = [...text.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name!);
  assert.deepEqual([...new Set(named)].filter((name) => !known.includes(name)), []);
  for (const { name } of dashboard.templating.list) assert.ok(named.includes(name), `${name} is used nowhere`);
});

Deno.test("dashboard: every alert is linked from a panel that shows what it goes by, and from no other", () => {
  const rules = parse(
    Deno.readTextFileSync(new URL("../../../monitoring/prometheus/rules/remediation.yml", import.meta.url)),
  );
  const alerts = (rules as { groups: { rules: { alert: string }[] }[] }).groups.flatMap(({ rules }) =>
    rules.map(({ alert }) => alert)
  );
  const links = shown.flatMap(({ links = [] }) => links);
  assert.deepEqual(links.map(({ title }) => title).sort(), alerts.sort());
  for (const { title, url } of links) assert.equal(url, `\${runbooks}/docs/operations.md#${title.toLowerCase()}`);
});
