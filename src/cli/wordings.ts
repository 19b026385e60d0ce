/** How the operations of the API are called at the command line, where their name is not it. Pure. */
import { type Member, type Offer, OFFERS } from "./catalog.ts";

/** An operation as a command. */
export interface Wording {
  readonly offer: Offer;
  /** E.g. `["dlq", "list"]`. */
  readonly words: readonly string[];
  /** Members that are arguments, in order. */
  readonly args: readonly string[];
  /** Members that the words decide. */
  readonly fixed: Readonly<Record<string, string>>;
  /** Members that a command written by hand sets. */
  readonly hidden: readonly string[];
  readonly examples: readonly string[];
}

type Given = Partial<Omit<Wording, "offer" | "words" | "fixed">> & { readonly words?: string };

/** `LIST` stands for each list of a source: one command for each. */
const GIVEN: Readonly<Record<string, Given>> = {
  status: { examples: ["status", "status --watch"] },
  explain: { examples: ["explain --source orders"] },
  history: { examples: ["history", "history --source orders --minutes 1440"] },
  incidents: { examples: ["incidents", "incidents --open"] },
  receivers: { words: "notify receivers", examples: ["notify receivers"] },
  test_receiver: { words: "notify test", args: ["receiver"], examples: ["notify test ops"] },
  replicas: { examples: ["replicas"] },
  settings: { examples: ["settings --json"] },
  browse: { words: "LIST list", examples: ["dlq list", "dlq list --from oldest --size 10"] },
  show: { words: "LIST show", args: ["id"], examples: ["dlq show m_0123456789abcdef"] },
  groups: { words: "LIST groups", args: ["query"], examples: ["dlq groups", "dlq groups 'age:>1h'"] },
  search: { words: "LIST search", args: ["query"], examples: ["dlq search 'reason:poison host:core-fra-1'"] },
  export: { examples: ["export --list dead > dead.jsonl", "export --raw --query reason:poison > poison.jsonl"] },
  import: {
    args: ["file"],
    examples: ["import dead.jsonl --reason 'back again'", "import - --reason 'from another pipeline' < dead.jsonl"],
  },
  edit: { args: ["id"], examples: ["edit m_0123456789abcdef --payload @corrected.json --reason 'wrong host name'"] },
  journal: { examples: ["journal --message m_0123456789abcdef", "journal --journals audit --json"] },
  log: { examples: ["log --level WARNING", "log --event moog_health"] },
  return_oversize: {
    words: "oversize return",
    examples: ["oversize return --count 10 --reason 'the limit is higher now'"],
  },
  verify: { words: "journal verify" },
  pause: { examples: ["pause --for 30m --reason 'database upgrade'"] },
  freeze: {
    examples: [
      "freeze --for 2h --reason 'change 4711'",
      "freeze --source orders --reason 'database upgrade'",
    ],
  },
  unfreeze: { examples: ["unfreeze", "unfreeze --source orders"] },
  release: { examples: ["release --reason 'the consumer is repaired'"] },
  replay_now: { words: "replay" },
  redrive: { examples: ["redrive --query 'group:g_0123456789ab' --reason 'bug fixed' --yes"] },
  bury: { examples: ["bury --query 'host:lab-*' --reason 'a test'"] },
  purge: { examples: ["purge --list dead --query 'age:>30d' --reason 'useless'"] },
  revive: { examples: ["revive --query reason:poison --reason 'cause mended'"] },
  jobs: { words: "jobs list" },
  jobs_list: { words: "jobs list" },
  job: { words: "jobs show", args: ["id"] },
  jobs_show: { args: ["id"] },
  jobs_confirm: { args: ["id"], examples: ["jobs confirm ID"] },
  jobs_pause: { args: ["id"] },
  jobs_resume: { args: ["id"] },
  jobs_cancel: { args: ["id"] },
  drill: {
    args: ["source"],
    hidden: ["confirm"],
    examples: [
      "drill orders --reason 'weekly drill'",
      "drill orders --messages 500 --outage 5m --reason 'weekly drill' --yes",
    ],
  },
  drills: { words: "drills list" },
  drills_show: { args: ["id"], examples: ["drills show ID --source orders"] },
  drills_cancel: { args: ["id"], examples: ["drills cancel ID --source orders"] },
  jobs_undo: { args: ["id"], examples: ["jobs undo ID --reason 'wrong query'"] },
};

/** What a command shows the plan of, asks about, starts and follows. */
export type Started = "job" | "drill";

/** What the command of an operation starts; `null`: it acts at once. */
export function startedBy({ name, plans }: Pick<Offer, "name" | "plans">): Started | null {
  return name === "drill" ? "drill" : plans ? "job" : null;
}

/** Operations with a command written by hand. */
const BY_HAND: readonly string[] = ["slo"];

/** Commands that group others. */
export const GROUP_SUMMARIES: Readonly<Record<string, string>> = {
  dlq: "Look at the dead-letter queue of a source",
  dead: "Look at the dead list of a source",
  target: "Look at the list that a source replays to",
  oversize: "Messages that were too large to read",
  drills: "Rehearsals of an outage: see, cancel",
  notify: "Who is notified of incidents",
  jobs: "Plans and jobs: see, confirm, pause, cancel, undo",
};

/** All commands of the API, in display order. */
export function listWordings(offers: readonly Offer[] = OFFERS): readonly Wording[] {
  return offers.filter(({ name }) => !BY_HAND.includes(name)).flatMap((offer) => {
    const { words = offer.name.replaceAll("_", " "), args = [], hidden = [], examples = [] } = GIVEN[offer.name] ?? {};
    const split = words.split(" ");
    if (!split.includes("LIST")) return [{ ...{ offer, args, hidden, examples, words: split }, fixed: {} }];
    return (offer.members.list?.choices ?? []).map((list, at) => ({
      ...{ offer, args, hidden, examples: at === 0 ? examples : [], fixed: { list } },
      words: split.map((word) => word === "LIST" ? list : word),
    }));
  });
}

/** The flag of a member: `forSeconds`, which takes a duration, is `--for`. */
export function flagOf(name: string): string {
  const kebab = name.replace(/Seconds$/, "").replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `--${kebab}`;
}

/** What stands for a member's value in the help. */
export function placeholderOf(name: string, { kind, members }: Member): string {
  if (name.endsWith("Seconds")) return "duration";
  if (members?.length === 2) return members.join("=");
  return kind === "integer" || kind === "number" ? "number" : kind === "object" ? "json" : name === "ids" ? "id" : name;
}
