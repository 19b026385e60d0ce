-- Claims a request, so that only one instance runs it. Reads first: a later request gets what is stored.
-- KEYS  1 request (string)  2 requests (sorted set: the keys of those whose claim or answer is kept, by time; all in this slot)
-- ARGV  1 claim  2 expiry of the claim, in milliseconds  3 most requests that are kept  4 expiry of an answer, in milliseconds
-- Returns the stored value, or nil if the request is claimed now. Bound: one value, and DROPPED requests that are too many.
local request, requests = KEYS[1], KEYS[2]
local claim, expiryMs, most, answerMs = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local DROPPED = 10
local stored = redis.call('GET', request)
if stored then return stored end
redis.call('SET', request, claim, 'PX', expiryMs)
-- These may be forbidden to a user that runs no jobs. Then only expiry bounds what is kept.
local time = redis.call('TIME')
redis.pcall('ZADD', requests, time[1] * 1000 + math.floor(time[2] / 1000), request)
redis.pcall('PEXPIRE', requests, answerMs)
local surplus = redis.pcall('ZRANGE', requests, 0, -(most + 1))
for i = 1, math.min(DROPPED, surplus.err and 0 or #surplus) do
  redis.call('PEXPIRE', surplus[i], 0)
  redis.call('ZREM', requests, surplus[i])
end
return nil
