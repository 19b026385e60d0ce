-- Returns the probe result that all replicas share if it is fresh. Otherwise, lets exactly one caller probe.
-- KEYS  1 probe (hash: outcome, atMs, claim, claimedUntilMs)
-- ARGV  1 cacheMs (how long a result is fresh)  2 leaseMs (how long a claim excludes others)  3 claim (a token)
-- Returns {'fresh', outcome, ageMs} | {'probing'} (another caller probes) | {'claimed'}. All times are by the server's clock.
-- Bound: one hash of four fields, which expires.
local probe = KEYS[1]
local cacheMs, leaseMs, claim = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('HMGET', probe, 'outcome', 'atMs', 'claimedUntilMs')
local ageMs = nowMs - (tonumber(record[2] or '') or 0)
-- If a time is in the future, the clock was set back: the result is not fresh, and the claim has ended.
if record[1] and ageMs >= 0 and ageMs < cacheMs then return { 'fresh', record[1], tostring(ageMs) } end
local leaseLeftMs = (tonumber(record[3] or '') or 0) - nowMs
if leaseLeftMs > 0 and leaseLeftMs <= leaseMs then return { 'probing' } end

redis.call('HSET', probe, 'claim', claim, 'claimedUntilMs', nowMs + leaseMs)
redis.call('PEXPIRE', probe, cacheMs + leaseMs)
return { 'claimed' }
