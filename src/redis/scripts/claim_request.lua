-- Claims a request, so that only one instance runs it. Reads first: a later request gets what is stored.
-- KEYS  1 request (string)
-- ARGV  1 claim  2 expiry of the claim, in milliseconds
-- Returns the stored value, or nil if the request is claimed now. Bound: one value.
local request = KEYS[1]
local claim, expiryMs = ARGV[1], ARGV[2]
local stored = redis.call('GET', request)
if stored then return stored end
redis.call('SET', request, claim, 'PX', expiryMs)
return nil
