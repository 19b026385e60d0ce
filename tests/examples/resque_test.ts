/** docs/examples/resque.md: node-resque, which wraps what fails, and no page to ask for health. */
import { testExample } from "../../testkit/example.ts";

testExample({
  name: "resque",
  needs: { "Node": "node --version", "Python": "python3 --version" },
  asReplayed: (deadLetter) => JSON.stringify(JSON.parse(deadLetter).payload),
});
