-- Takes or renews the leader lease of a source, if it is free, the caller's own or over.
-- KEYS  1 state (hash)
-- ARGV  1 token  2 name of the instance, for people  3 durationMs  4 1: take it from whoever holds it, else 0
-- Returns {1 if it is the caller's now, else 0; the holder's name; milliseconds it is left}. Bound: O(1).
local state = KEYS[1]
local token, name, durationMs, force = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'

-- What is not 1 to 15 digits reads as 0.
local function whole(text) return text and #text <= 15 and text:match('^%d+$') or '0' end

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('HMGET', state, 'leader', 'leaderName', 'leaderUntilMs', 'leaderForMs')
local leftMs = tonumber(whole(lease[3])) - nowMs
-- One that lasts for longer than it was taken for is of a clock that was set back.
local isHeld = (lease[1] or '') ~= '' and leftMs > 0 and leftMs <= tonumber(whole(lease[4]))
if isHeld and lease[1] ~= token and not force then return { 0, lease[2] or '', leftMs } end
redis.call('HSET', state, 'leader', token, 'leaderName', name, 'leaderUntilMs', nowMs + durationMs, 'leaderForMs', durationMs)
return { 1, name, durationMs }
