-- Takes or renews the leader lease of a source, if it is free, the caller's own, over, or longer than any setting allows.
-- KEYS  1 state (hash)
-- ARGV  1 token  2 name of the instance, for people  3 durationMs  4 1: take it from whoever holds it, else 0
--       5 the longest that a lease may last, in milliseconds
-- Returns {1 if it is the caller's now, else 0; the holder's name; milliseconds it is left; 1 if one that lasted longer than that
-- was in its place, else 0}. Bound: O(1).
local state = KEYS[1]
local token, name, durationMs, force, longestMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])

-- include whole.lua

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('HMGET', state, 'leader', 'leaderName', 'leaderUntilMs', 'leaderForMs')
local leftMs, forMs = tonumber(whole(lease[3])) - nowMs, tonumber(whole(lease[4]))
-- One that lasts for longer than it was taken for is of a clock that was set back.
local isRunning = (lease[1] or '') ~= '' and leftMs > 0 and leftMs <= forMs
local isTooLong = isRunning and forMs > longestMs
if isRunning and not isTooLong and lease[1] ~= token and not force then return { 0, lease[2] or '', leftMs, 0 } end
redis.call('HSET', state, 'leader', token, 'leaderName', name, 'leaderUntilMs', nowMs + durationMs, 'leaderForMs', durationMs)
return { 1, name, durationMs, isTooLong and 1 or 0 }
