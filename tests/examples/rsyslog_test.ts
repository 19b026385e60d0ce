/** docs/examples/rsyslog.md: rsyslog pushes events to the right, an indexer takes them from the left. */
import { testExample } from "../../testkit/example.ts";

testExample({
  name: "rsyslog",
  listensAt: 5514,
  needs: {
    "rsyslogd with omhiredis": "rsyslogd -N 1 -f docs/examples/rsyslog/rsyslog.conf",
    "logger": "logger --version",
    "redis-py": 'python3 -c "import redis"',
  },
});
