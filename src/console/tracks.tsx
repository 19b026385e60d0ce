/** The sources of the overview: what moves, what is held, and by what. Pure. */
import type { Role } from "../config/api_keys.ts";
import type { ShownSource } from "./figures.tsx";
import { count } from "./format.ts";
import type { Html } from "./page.ts";
import { Card, Empty } from "./parts.tsx";
import { isAtRest, Track } from "./track.tsx";

/** Sources with nothing to do that have a card each; more share one. */
const MOST_AT_REST = 8;

/** A card for each source; many that have nothing to do share one. */
export function Tracks(
  { sources, role, nowMs }: { sources: readonly ShownSource[]; role: Role; nowMs: number },
): Html {
  if (sources.length === 0) {
    return (
      <Card title="No source is enabled">
        <Empty>
          A source is a dead-letter queue with its target. Enable one with <code>REMEDIATION_SOURCES</code>{" "}
          or describe your own in a file that <code>REMEDIATION_SOURCES_PATH</code> names.
        </Empty>
      </Card>
    ) as Html;
  }
  const resting = sources.filter(({ explained }) => isAtRest(explained));
  const shown = resting.length > MOST_AT_REST ? sources.filter((one) => !resting.includes(one)) : sources;
  return (
    <div class="tracks">
      {shown.map(({ explained, status, drawn }) => (
        <Track explained={explained} status={status} history={drawn} role={role} nowMs={nowMs} folds next="/" />
      ))}
      {shown.length < sources.length && <AtRest names={resting.map(({ explained: { source } }) => source)} />}
    </div>
  ) as Html;
}

function AtRest({ names }: { names: readonly string[] }): Html {
  return (
    <Card title={`${count(names.length)} sources have nothing to do`} kind="track">
      <ul class="resting">
        {names.map((name) => (
          <li>
            <a href={`/sources/${encodeURIComponent(name)}`} data-row>{name}</a>
          </li>
        ))}
      </ul>
    </Card>
  ) as Html;
}
