-- Replaces the claim of a request by its answer. If the claim has expired and another instance holds the request, changes nothing.
-- KEYS  1 request (string)
-- ARGV  1 claim  2 answer  3 expiry of the answer, in milliseconds
-- Returns 1, or 0 if the request is no longer ours. Bound: one value.
local request = KEYS[1]
local claim, answer, expiryMs = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', request) ~= claim then return 0 end
redis.call('SET', request, answer, 'PX', expiryMs)
return 1
