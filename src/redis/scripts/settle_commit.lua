-- Returns whether a commit ran after its reply was lost. If not, it can never run: this script uses up its sequence number.
-- KEYS  1 state (hash)  2 receipt (string: the caller's last commit)
-- ARGV  1 id of the commit
-- Returns 1 if it ran, else 0. Bound: O(1).
local state, receipt = KEYS[1], KEYS[2]
local id = ARGV[1]
-- include whole.lua

if redis.call('GET', receipt) == id then return 1 end
redis.call('HSET', state, 'seq', tonumber(whole(redis.call('HGET', state, 'seq'))) + 1)
return 0
