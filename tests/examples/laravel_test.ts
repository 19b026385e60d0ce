/** docs/examples/laravel.md: Laravel's queue worker, and a listener that keeps what failed. */
import { testExample } from "../../testkit/example.ts";

testExample({
  name: "laravel",
  needs: {
    "python3": "python3 --version",
    "php with redis, Illuminate's queue": "php -r 'require \"docs/examples/laravel/queue.php\";'",
  },
});
