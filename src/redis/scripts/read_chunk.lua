-- Reads the oldest messages of a DLQ, at least one and no more than the bounds, and the source as of the same instant.
-- Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most messages  2 most bytes  3 bytes over which a message is only described  4 sampleBytes  5 messages to skip
--       6 most messages in one call, where those before were small: what comes next may be large, and is looked at whole
--       7 most bytes of a field of the record: longer ones are left out  8.. the record's fields
-- Returns {record as field, value, …}, depth, nowMs, {length, digest of the sample} of an oversize message that is the
-- oldest (or {}), the messages, oldest first, whether the next one is byte-equal to the last of them (1 or 0; only looked
-- for where that can matter), and the place, counted from the oldest, of what was newest when the cycle began. That is only
-- looked for where one as long as it (a large one: one like it) was read, and 0 where it does not stand where it must: somebody
-- else has taken messages. Last, the length of the longest message that was looked at.
-- Bound: the bytes asked for, the messages of one call more, and two.
local dlq, state = KEYS[1], KEYS[2]
local mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sampleBytes, skip, mostAtOnce = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local mostFieldBytes, SMALL_BYTES = tonumber(ARGV[7]), 4096
-- include whole.lua
local function digest(message) return redis.sha1hex(message:sub(1, sampleBytes) .. message:sub(-sampleBytes)) end

local time = redis.call('TIME')
-- Anybody may have put anything there.
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
    -- To look at the newest one costs less than to digest each of its length, unless these are large.
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
  -- What comes next is taken to be as large as the last one: where that would not fit, it is left unread.
  local size = last and #last or 0
  if size > SMALL_BYTES and bytes + size > mostBytes then isFull = true end
  atOnce = longest > SMALL_BYTES and 1 or math.min(mostAtOnce, mostMessages - count)
end

local depth, newestAt = redis.call('LLEN', dlq), 0
if isMet then
  local place = tonumber(whole(record.depthAtStart)) - tonumber(whole(record.replayed)) - tonumber(whole(record.dead)) - skip
  -- By the nearer end: an old Redis goes through a list from the end that the sign says.
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
