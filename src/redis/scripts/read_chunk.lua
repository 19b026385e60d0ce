-- Reads the oldest messages of a DLQ within the bounds, at least one, and the source's state at the same instant.
-- Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most messages  2 most bytes  3 most bytes of a message; a larger one is only described  4 sampleBytes
--       5 messages to skip  6 most messages in one LRANGE while messages are small: the next one may be large, and is read whole
--       7 most bytes of a field of the state; longer fields are left out  8.. names of the fields
-- Returns, in this order:
--   {field, value, …}, depth, nowMs
--   {length, digest of the sample} of the oldest message if it is oversize, else {}
--   the messages, oldest first
--   1 if the next message is byte-equal to the last one, else 0; only checked if it can matter
--   the place, counted from the oldest, of the message that was newest when the cycle began; only searched if a message of its
--   length (if large, with its digest) was read; 0 if it is not at its expected place, because another client took messages
--   the length of the longest message that was fetched
-- Bound: the requested bytes, the messages of one more call, and two more messages.
local dlq, state = KEYS[1], KEYS[2]
local mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sampleBytes, skip, mostAtOnce = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local mostFieldBytes, SMALL_BYTES = tonumber(ARGV[7]), 4096
-- include whole.lua
local function digest(message) return redis.sha1hex(message:sub(1, sampleBytes) .. message:sub(-sampleBytes)) end

local time = redis.call('TIME')
-- Any client may have written to the hash.
local record, flat = {}, {}
for i = 8, #ARGV do
  if redis.call('HSTRLEN', state, ARGV[i]) <= mostFieldBytes then
    record[ARGV[i]] = redis.call('HGET', state, ARGV[i]) or ''
    flat[#flat + 1] = ARGV[i]
    flat[#flat + 1] = record[ARGV[i]]
  end
end
local newestBytes, isMet = tonumber(whole(record.newestBytes)), false
local messages, oversize, count, bytes, longest, atOnce, isFull, last = {}, {}, 0, 0, 1, 1, false, nil
while count < mostMessages and not isFull do
  local from = skip + count + 1
  local found = redis.call('LRANGE', dlq, -(from + atOnce - 1), -from)
  isFull = #found < atOnce
  for i = #found, 1, -1 do
    local message = found[i]
    local length = #message
    if length > longest then longest = length end
    local isOversize = length > mostMessageBytes
    if count > 0 and (isOversize or bytes + length > mostBytes) then
      isFull = true
      break
    end
    last = message
    -- One lookup of the newest message costs less than a digest of each message of its length, unless these are large.
    isMet = isMet or (length == newestBytes and (length < 8 * sampleBytes or digest(message) == record.newestDigest))
    if isOversize then
      oversize = { length, digest(message) }
      isFull = true
      break
    end
    count = count + 1
    messages[count] = message
    bytes = bytes + length
  end
  -- Assume that the next message is as large as the last one. If that would not fit, do not fetch it.
  local size = last and #last or 0
  if size > SMALL_BYTES and bytes + size > mostBytes then isFull = true end
  atOnce = longest > SMALL_BYTES and 1 or math.min(mostAtOnce, mostMessages - count)
end

local depth, newestAt = redis.call('LLEN', dlq), 0
if isMet then
  local place = tonumber(whole(record.depthAtStart)) - tonumber(whole(record.replayed)) - tonumber(whole(record.dead)) - skip
  -- Count from the nearer end: an old Redis walks the list from the end that the sign selects.
  local fromHead = depth - place - skip
  local newest = place > 0 and fromHead >= 0 and redis.call('LINDEX', dlq, fromHead < place and fromHead or -(place + skip))
  if newest and #newest == newestBytes and digest(newest) == record.newestDigest then newestAt = place end
end
local goesOnEqual = 0
if isMet and newestAt == 0 and #last == newestBytes then
  local taken = skip + math.max(1, count)
  goesOnEqual = redis.call('LINDEX', dlq, -(taken + 1)) == last and 1 or 0
end
return {
  flat, depth, time[1] * 1000 + math.floor(time[2] / 1000),
  oversize, messages, goesOnEqual, newestAt, longest,
}
