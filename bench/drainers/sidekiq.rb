# Sidekiq retries its dead jobs. Started, told and read as bench/harness/mover.ts says.
#
#     ruby sidekiq.rb PORT
require "json"
require "sidekiq/api"

# Debian's redis-rb would warn with each push.
Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)
Redis.sadd_returns_boolean = true if Redis.respond_to?(:sadd_returns_boolean=)
Sidekiq.configure_client { |config| config.redis = { url: "redis://127.0.0.1:#{ARGV[0]}/0", size: 1 } }
dead = Sidekiq::DeadSet.new
dead.size
puts "ready"
$stdout.flush
$stdin.gets
cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
dead.retry_all
puts JSON.generate(
  "seconds" => Process.clock_gettime(Process::CLOCK_MONOTONIC) - started,
  "cpu_seconds" => Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - cpu
)
