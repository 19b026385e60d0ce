-- Ends the cycle in hand: what is left of its bound is given up.
-- KEYS  1 state (hash)
-- ARGV  1 sequence number that the decision rests on
-- Returns 'ok' | 'stale'. Bound: O(1).
local state = KEYS[1]
local sequence = ARGV[1]

if (redis.call('HGET', state, 'seq') or '0') ~= sequence then return 'stale' end
redis.call('HSET', state, 'seq', sequence + 1, 'remaining', 0)
return 'ok'
