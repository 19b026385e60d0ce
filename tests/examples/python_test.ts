/** docs/examples/python.md: a worker with redis-py that writes down what failed. */
import { testExample } from "../../testkit/example.ts";

testExample({
  name: "python",
  needs: { "redis-py": 'python3 -c "import redis"' },
  asReplayed: (deadLetter) => deadLetter.replace(/, "error": ".*"/, ""),
});
