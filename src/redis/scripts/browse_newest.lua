-- Reads the newest messages of a DLQ within the bounds, at least one. Changes nothing.
-- KEYS  1 dlq (list)  2.. lists whose messages count as the DLQ's, because a job keeps them
-- ARGV  1 messages to skip, counted from the newest  2 most messages  3 most bytes  4 most bytes of a message
--       5 excerptBytes  6 text: a message longer than excerptBytes is cut to this many bytes from the last occurrence of the
--       text (empty: messages are not cut)
-- Returns the depth, and the messages, newest first, with false for a message that is too large. Bound: the requested bytes,
-- and the messages of one more call.
local dlq = KEYS[1]
local skip, mostMessages, mostBytes, mostMessageBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local excerptBytes, text = tonumber(ARGV[5]), ARGV[6]
local SMALL_BYTES, AT_ONCE, MOST_FINDS = 4096, 16, 1000
-- Looks for the text without its first character, a quotation mark: JSON is full of them, and the search would stop at each.
local first, rest = text:sub(1, 1), text:sub(2)
local function excerpt(message)
  if text == '' or #message <= excerptBytes then return message end
  local last, at, finds = nil, message:find(rest, 2, true), 0
  while at and finds < MOST_FINDS do
    if message:sub(at - 1, at - 1) == first then last = at - 1 end
    at, finds = message:find(rest, at + 1, true), finds + 1
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
  if count > 0 and bytes >= mostBytes then isFull = true end
end
local depth = 0
for _, list in ipairs(KEYS) do depth = depth + redis.call('LLEN', list) end
return { depth, messages }
