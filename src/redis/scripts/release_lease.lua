-- Releases the leader lease of a source if the caller holds it.
-- KEYS  1 state (hash)
-- ARGV  1 token
-- Returns 1 if the caller held it, else 0. Bound: O(1).
local state = KEYS[1]
local token = ARGV[1]

if redis.call('HGET', state, 'leader') ~= token then return 0 end
redis.call('HSET', state, 'leader', '', 'leaderUntilMs', 0)
return 1
