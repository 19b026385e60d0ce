-- Tells whether a commit whose reply was lost has run; if it has not, it cannot run any more (its sequence number is used up).
-- KEYS  1 state (hash)
-- ARGV  1 id of the commit
-- Returns 1 if it ran, else 0. Bound: O(1).
local state = KEYS[1]
local id = ARGV[1]

if redis.call('HGET', state, 'lastId') == id then return 1 end
redis.call('HINCRBY', state, 'seq', 1)
return 0
