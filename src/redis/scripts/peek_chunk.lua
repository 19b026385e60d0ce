-- Reads what an LRANGE of the oldest messages does not tell: the source's state, and facts of its DLQ. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 messages that the LRANGE takes  2 sampleBytes  3 step between samples  4 samples
--       5 most bytes of a field of the state; longer fields are left out  6.. names of the fields
-- Returns, in this order:
--   {field, value, …}, depth, nowMs
--   the place, counted from the oldest, of the message that was newest when the cycle began; 0 if it is not at its expected
--   place, because another client took messages; -1 if it is large and not among the LRANGE's, so that nobody looked
--   the length of the longest sample behind the LRANGE's messages
-- Bound: one message that is not large, or one of the LRANGE's, and the samples.
local dlq, state = KEYS[1], KEYS[2]
local messages, sampleBytes, step, samples = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local SMALL_BYTES, STANDING_BYTES = 4096, 65536
-- include whole.lua
-- include sample_digest.lua
-- include state_fields.lua
-- include look_ahead.lua

local time = redis.call('TIME')
local flat, record = readFields(state, 5)
local depth = redis.call('LLEN', dlq)
local newestBytes, newestAt = tonumber(whole(record.newestBytes)), 0
local place = tonumber(whole(record.depthAtStart)) - tonumber(whole(record.replayed)) - tonumber(whole(record.dead))
if place > 0 and place <= depth then
  -- The field `standing` depends on it.
  local mostBytes = (record.standing or '') == '' and SMALL_BYTES or STANDING_BYTES
  if newestBytes > mostBytes and place > messages then
    newestAt = -1
  else
    -- Count from the nearer end: an old Redis walks the list from the end that the sign selects.
    local newest = redis.call('LINDEX', dlq, depth - place < place and depth - place or -place)
    if #newest == newestBytes and digest(newest) == record.newestDigest then newestAt = place end
  end
end
return {
  flat, depth, time[1] * 1000 + math.floor(time[2] / 1000),
  newestAt, longestAhead(dlq, messages + 1, step, samples),
}
