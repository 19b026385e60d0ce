/** docs/examples/celery.md: Celery's own worker, and a queue for the tasks that failed. Failures are counted beside the messages. */
import { testExample } from "../../testkit/example.ts";

testExample({ name: "celery", needs: { "Celery and redis-py": 'python3 -c "import celery, redis"' } });
