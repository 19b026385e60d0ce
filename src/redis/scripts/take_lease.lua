-- Takes or renews the leader lease of a source if it is free, the caller's own, offered to the caller (offer_lease.lua), expired, or
-- longer than any setting allows.
-- KEYS  1 state (hash)
-- ARGV  1 token  2 name of the instance, for messages  3 durationMs  4 1: take it from any holder, else 0
--       5 longest allowed lease in milliseconds
-- Returns {1 if the caller holds it now, else 0; the holder's name; milliseconds left; 1 if this call replaced a lease that was
-- too long, else 0; the holder's token; 1 if this call took an offered lease, else 0}. Bound: O(1).
local state = KEYS[1]
local token, name, durationMs, force, longestMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])

-- include whole.lua

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('HMGET', state, 'leader', 'leaderName', 'leaderUntilMs', 'leaderForMs', 'leaderOffer')
local leader, offer = lease[1] or '', lease[5] or ''
local leftMs, forMs = tonumber(whole(lease[3])) - nowMs, tonumber(whole(lease[4]))
-- If more time is left than the lease was taken for, the clock was set back: the lease has ended.
local isRunning = leader ~= '' and leftMs > 0 and leftMs <= forMs
local isTooLong = isRunning and forMs > longestMs
local isOthers = isRunning and not isTooLong and leader ~= token
local to, offeredUntilMs = offer:match('^(%S+) (%d+)$')
local isOffered = isOthers and to == token and nowMs < tonumber(whole(offeredUntilMs))
if isOthers and not isOffered and not force then return { 0, lease[2] or '', leftMs, 0, leader, 0 } end
redis.call('HSET', state, 'leader', token, 'leaderName', name, 'leaderUntilMs', nowMs + durationMs, 'leaderForMs', durationMs)
-- An offer ends with the lease of the instance that made it.
if leader ~= token and offer ~= '' then redis.call('HSET', state, 'leaderOffer', '') end
return { 1, name, durationMs, isTooLong and 1 or 0, token, isOffered and 1 or 0 }
