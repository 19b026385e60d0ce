-- Reads messages of a DLQ from its newest end, at least one and no more than the bounds. Changes nothing.
-- KEYS  1 dlq (list)
-- ARGV  1 messages to skip, counted from the newest  2 most messages  3 most bytes  4 bytes over which a message is not read
-- Returns depth, and the messages, newest first; false in place of one that is too large. Bound: the bytes asked for, and
-- the messages of one call more.
local dlq = KEYS[1]
local skip, mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local SMALL_BYTES, AT_ONCE = 4096, 16

local messages, count, bytes, atOnce, isFull = {}, 0, 0, 1, false
while count < mostMessages and not isFull do
  local found = redis.call('LRANGE', dlq, skip + count, skip + count + atOnce - 1)
  isFull = #found < atOnce
  local longest = 1
  for _, message in ipairs(found) do
    local length = #message
    if length > longest then longest = length end
    if count > 0 and bytes + length > mostBytes then
      isFull = true
      break
    end
    count = count + 1
    messages[count] = length <= mostMessageBytes and message
    bytes = bytes + length
  end
  atOnce = longest > SMALL_BYTES and 1 or math.min(AT_ONCE, mostMessages - count)
end
return { redis.call('LLEN', dlq), messages }
