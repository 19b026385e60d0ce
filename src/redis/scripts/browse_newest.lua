-- Reads messages of a DLQ from its newest end, at least one and no more than the bounds. Changes nothing.
-- KEYS  1 dlq (list)
-- ARGV  1 messages to skip, counted from the newest  2 most messages  3 most bytes  4 bytes over which a message is not read
--       5 excerptBytes, 6 text: of a message longer than that only so many bytes from the last such text on (empty: all of it)
-- Returns depth, and the messages, newest first; false in place of one that is too large. Bound: the bytes asked for, and
-- the messages of one call more.
local dlq = KEYS[1]
local skip, mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local excerptBytes, text = tonumber(ARGV[5]), ARGV[6]
local SMALL_BYTES, AT_ONCE, MOST_FINDS = 4096, 16, 1000
local function excerpt(message)
  if text == '' or #message <= excerptBytes then return message end
  local last, at, finds = nil, message:find(text, 1, true), 0
  while at and finds < MOST_FINDS do
    last, at, finds = at, message:find(text, at + 1, true), finds + 1
  end
  return last and message:sub(last, last + excerptBytes - 1) or ''
end

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
    messages[count] = length <= mostMessageBytes and excerpt(message)
    bytes = bytes + length
  end
  atOnce = longest > SMALL_BYTES and 1 or math.min(AT_ONCE, mostMessages - count)
end
return { redis.call('LLEN', dlq), messages }
