-- Stores a planned job, which expires unless it is started.
-- KEYS  1 job (hash)  2 jobs (sorted set of ids)
-- ARGV  1 id  2 milliseconds until the plan expires  3.. fields of the job: name, value, …
-- Returns the server's clock in milliseconds. Bound: O(fields).
local job, jobs = KEYS[1], KEYS[2]
local id, expiresInMs = ARGV[1], ARGV[2]

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', job, 'status', 'planned', 'createdAtMs', nowMs, unpack(ARGV, 3))
redis.call('PEXPIRE', job, expiresInMs)
redis.call('ZADD', jobs, nowMs, id)
return nowMs
