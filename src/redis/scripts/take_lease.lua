-- Takes or renews the leader lease of a source if it is free, the caller's own, expired, or longer than any setting allows.
-- KEYS  1 state (hash)
-- ARGV  1 token  2 name of the instance, for messages  3 durationMs  4 1: take it from any holder, else 0
--       5 longest allowed lease in milliseconds
-- Returns {1 if the caller holds it now, else 0; the holder's name; milliseconds left; 1 if this call replaced a lease that was
-- too long, else 0}. Bound: O(1).
local state = KEYS[1]
local token, name, durationMs, force, longestMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])

-- include whole.lua

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('HMGET', state, 'leader', 'leaderName', 'leaderUntilMs', 'leaderForMs')
local leftMs, forMs = tonumber(whole(lease[3])) - nowMs, tonumber(whole(lease[4]))
-- If more time is left than the lease was taken for, the clock was set back: the lease has ended.
local isRunning = (lease[1] or '') ~= '' and leftMs > 0 and leftMs <= forMs
local isTooLong = isRunning and forMs > longestMs
if isRunning and not isTooLong and lease[1] ~= token and not force then return { 0, lease[2] or '', leftMs, 0 } end
redis.call('HSET', state, 'leader', token, 'leaderName', name, 'leaderUntilMs', nowMs + durationMs, 'leaderForMs', durationMs)
return { 1, name, durationMs, isTooLong and 1 or 0 }
