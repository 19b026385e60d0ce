-- Reads the oldest messages of a DLQ, at least one and no more than the bounds. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most messages  2 most bytes  3 bytes over which a message is only described  4 sampleBytes  5 messages to skip
-- Returns sequence number, depth, nowMs, {length, digest of the sample} of an oversize message that is the oldest (or
-- {}), the messages, oldest first, whether the next one is byte-equal to the last of them (1 or 0), and the place, counted
-- from the oldest, of what was newest when the cycle began. That is only looked for where one as long as it was read, and 0
-- where it does not stand where it must: somebody else has taken messages.
-- Bound: the bytes asked for and two messages more.
local dlq, state = KEYS[1], KEYS[2]
local mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sampleBytes, skip = tonumber(ARGV[4]), tonumber(ARGV[5])
-- What is not 1 to 15 digits reads as 0, here as in parseRecord: whatever stands there, the next write repairs it.
local function whole(text) return text and #text <= 15 and text:match('^%d+$') or '0' end

local time = redis.call('TIME')
local record = redis.call('HMGET', state, 'seq', 'newestBytes', 'newestDigest', 'depthAtStart', 'replayed', 'dead')
local newestBytes, isMet = tonumber(whole(record[2])), false
local messages, oversize, bytes = {}, {}, 0
local last, message
for position = 1, mostMessages + 1 do
  message = redis.call('LINDEX', dlq, -(position + skip))
  if not message or position > mostMessages or #oversize > 0 then break end
  local length = #message
  if length > mostMessageBytes then
    if position > 1 then break end
    oversize = { length, redis.sha1hex(message:sub(1, sampleBytes) .. message:sub(-sampleBytes)) }
  else
    bytes = bytes + length
    if position > 1 and bytes > mostBytes then break end
    messages[position] = message
  end
  last = message
  isMet = isMet or length == newestBytes
end

local newestAt = 0
if isMet then
  local place = tonumber(whole(record[4])) - tonumber(whole(record[5])) - tonumber(whole(record[6])) - skip
  -- By the nearer end: an old Redis goes through a list from the end that the sign says.
  local fromHead = redis.call('LLEN', dlq) - place - skip
  local newest = place > 0 and fromHead >= 0 and redis.call('LINDEX', dlq, fromHead < place and fromHead or -(place + skip))
  local isIt = newest and #newest == newestBytes and
    redis.sha1hex(newest:sub(1, sampleBytes) .. newest:sub(-sampleBytes)) == record[3]
  if isIt then newestAt = place end
end
return {
  whole(record[1]), redis.call('LLEN', dlq),
  time[1] * 1000 + math.floor(time[2] / 1000), oversize, messages, last and message == last and 1 or 0, newestAt,
}
