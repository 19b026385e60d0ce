-- Writes the pace ledger if it has not changed since it was read: sources and instances share one pace.
-- KEYS  1 ledger (hash)
-- ARGV  1 version that the caller read  2 milliseconds until the ledger expires  3.. fields: name, value, …
-- Returns 1 if it was written, else 0. Bound: O(fields).
local ledger = KEYS[1]
local version, keepMs = ARGV[1], ARGV[2]
-- include whole.lua

if whole(redis.call('HGET', ledger, 'version')) ~= version then return 0 end
redis.call('HSET', ledger, 'version', tonumber(version) + 1, unpack(ARGV, 3))
redis.call('PEXPIRE', ledger, keepMs)
return 1
