-- Reads the oldest messages of a DLQ within the bounds, at least one, and the source's state at the same instant. Reads one
-- message after another, because their sizes are not known. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most messages  2 most bytes  3 most bytes of a message; a larger one is only described  4 sampleBytes
--       5 messages to skip  6 step between samples  7 samples
--       8 most bytes of a field of the state; longer fields are left out  9.. names of the fields
-- Returns, in this order:
--   {field, value, …}, depth, nowMs
--   {length, digest of the sample} of the oldest message if it is oversize, else {}
--   the messages, oldest first
--   1 if the next message is byte-equal to the last one, else 0; only checked if it can matter
--   the place, counted from the oldest, of the message that was newest when the cycle began; only searched if a message of its
--   length (if large, with its digest) was read, or the field `standing` depends on it and it is not large; 0 if it is not at its expected place, because another client took messages
--   the length of the longest sample behind these messages
-- Bound: the requested bytes, three more messages, and the samples (look_ahead.lua).
local dlq, state = KEYS[1], KEYS[2]
local mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sampleBytes, skip, step, samples = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local SMALL_BYTES, STANDING_BYTES = 4096, 65536
-- include whole.lua
-- include sample_digest.lua
-- include state_fields.lua
-- include look_ahead.lua

local time = redis.call('TIME')
local flat, record = readFields(state, 8)
local newestBytes = tonumber(whole(record.newestBytes))
local isMet = (record.standing or '') ~= '' and newestBytes <= STANDING_BYTES
local messages, oversize, count, bytes, last = {}, {}, 0, 0, nil
while count < mostMessages do
  local message = redis.call('LINDEX', dlq, -(skip + count + 1))
  if not message then break end
  local length = #message
  local isOversize = length > mostMessageBytes
  if count > 0 and (isOversize or bytes + length > mostBytes) then break end
  last = message
  -- One lookup of the newest message costs less than a digest of each message of its length, unless these are large.
  isMet = isMet or (length == newestBytes and (length < 8 * sampleBytes or digest(message) == record.newestDigest))
  if isOversize then
    oversize = { length, digest(message) }
    break
  end
  count = count + 1
  messages[count] = message
  bytes = bytes + length
  -- Assume that the next message is as large as this one. If that would not fit, do not fetch it.
  if length > SMALL_BYTES and bytes + length > mostBytes then break end
end

local depth, newestAt = redis.call('LLEN', dlq), 0
if isMet then
  local place = tonumber(whole(record.depthAtStart)) - tonumber(whole(record.replayed)) - tonumber(whole(record.dead)) - skip
  -- Count from the nearer end: an old Redis walks the list from the end that the sign selects.
  local fromHead = depth - place - skip
  local newest = place > 0 and fromHead >= 0 and redis.call('LINDEX', dlq, fromHead < place and fromHead or -(place + skip))
  if newest and #newest == newestBytes and digest(newest) == record.newestDigest then newestAt = place end
end
local goesOnEqual, taken = 0, skip + math.max(1, count)
if isMet and newestAt == 0 and last and #last == newestBytes then
  goesOnEqual = redis.call('LINDEX', dlq, -(taken + 1)) == last and 1 or 0
end
return {
  flat, depth, time[1] * 1000 + math.floor(time[2] / 1000),
  oversize, messages, goesOnEqual, newestAt, longestAhead(dlq, taken + 1, step, samples),
}
