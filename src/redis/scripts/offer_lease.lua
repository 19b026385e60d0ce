-- Offers the caller's leader lease to another instance, which take_lease.lua then gives it to. Until it does, the caller leads.
-- KEYS  1 state (hash)
-- ARGV  1 token  2 token of the other instance  3 how long the offer stands, in milliseconds
-- Returns 1 if the caller holds the lease, else 0; then nothing has changed. Bound: O(1).
local state = KEYS[1]
local token, to, forMs = ARGV[1], ARGV[2], tonumber(ARGV[3])

if redis.call('HGET', state, 'leader') ~= token then return 0 end
local time = redis.call('TIME')
local untilMs = time[1] * 1000 + math.floor(time[2] / 1000) + forMs
redis.call('HSET', state, 'leaderOffer', to .. ' ' .. string.format('%.0f', untilMs))
return 1
