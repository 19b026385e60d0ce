-- Stores the result of a probe for all replicas, if the caller still holds the claim.
-- KEYS  1 probe (hash, as claim_probe.lua leaves it)
-- ARGV  1 claim (the token)  2 outcome  3 keepMs (time until the hash expires)
-- Returns 'ok' | 'lost' (the claim expired and another caller took it). Bound: one hash of four fields.
local probe = KEYS[1]
local claim, outcome, keepMs = ARGV[1], ARGV[2], tonumber(ARGV[3])

if redis.call('HGET', probe, 'claim') ~= claim then return 'lost' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', probe, 'outcome', outcome, 'atMs', nowMs, 'claimedUntilMs', 0)
redis.call('PEXPIRE', probe, keepMs)
return 'ok'
