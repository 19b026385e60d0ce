-- Reads the oldest messages of a DLQ, at least one and no more than the bounds. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most messages  2 most bytes  3 bytes over which a message is only described  4 sampleBytes  5 messages to skip
-- Returns sequence number, depth, nowMs, {length, digest of the sample} of an oversize message that is the oldest (or
-- {}), the messages, oldest first, and whether the next one is byte-equal to the last of them (1 or 0).
-- Bound: the bytes asked for and one message more.
local dlq, state = KEYS[1], KEYS[2]
local mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sampleBytes, skip = tonumber(ARGV[4]), tonumber(ARGV[5])
-- What is not 1 to 15 digits reads as 0, here as in parseRecord: whatever stands there, the next write repairs it.
local function whole(text) return text and #text <= 15 and text:match('^%d+$') or '0' end

local time = redis.call('TIME')
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
end
return {
  whole(redis.call('HGET', state, 'seq')), redis.call('LLEN', dlq),
  time[1] * 1000 + math.floor(time[2] / 1000), oversize, messages, last and message == last and 1 or 0,
}
