-- Gives the leader lease of a source back, if it is the caller's.
-- KEYS  1 state (hash)
-- ARGV  1 token
-- Returns 1 if it was, else 0. Bound: O(1).
if redis.call('HGET', KEYS[1], 'leader') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'leader', '', 'leaderUntilMs', 0)
return 1
