-- Reads neighbouring messages of a list within the bounds. Changes nothing. A DLQ goes on in its shelf while a job sweeps it.
-- KEYS  1 list  2 shelf (list; the older part)
-- ARGV  1 1: the list goes on in the shelf, else 0  2 first place, from 1 at the oldest; 0: the newest;
--       towards older messages, a place beyond the newest is the newest
--       3 1: towards newer messages, -1: towards older ones  4 most messages  5 messages to read whatever their size
--       6 most bytes  7 most bytes of a message; a larger one is only described  8 sampleBytes  9 most messages of the first LRANGE
-- Returns the depth, the first place, and in the order of the direction: a message, or {length, digest of the sample}.
-- Bound: the requested messages and bytes, and the messages of one more LRANGE.
local list, shelf = KEYS[1], KEYS[2]
local hasShelf, place, direction = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])
local mostMessages, leastMessages, mostBytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local mostMessageBytes, sampleBytes, atOnce = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
-- Nothing tells how large a message is before it is read, so an LRANGE takes few. Deep in a long list Redis needs longer to find
-- the place than to read these, so there it takes more.
local STEP, MOST_AT_ONCE, DEEP = 32, 128, 50000

local shelved = hasShelf and redis.call('LLEN', shelf) or 0
local depth = shelved + redis.call('LLEN', list)
if place == 0 or (direction < 0 and place > depth) then place = depth end
local first = place

-- Up to `count` messages from `place` on, in the order of the direction, of the key that holds this place.
local function range(count)
  local key, from, length = list, place - shelved, depth - shelved
  if place <= shelved then key, from, length = shelf, place, shelved end
  if direction < 0 then return redis.call('LRANGE', key, -from, -math.max(1, from - count + 1)) end
  local found = redis.call('LRANGE', key, -math.min(length, from + count - 1), -from)
  for i = 1, math.floor(#found / 2) do found[i], found[#found + 1 - i] = found[#found + 1 - i], found[i] end
  return found
end

local function step()
  return math.min(MOST_AT_ONCE, STEP * (1 + math.floor(math.min(place, depth - place) / DEEP)))
end

local rows, count, bytes, isFull = {}, 0, 0, false
atOnce = math.min(atOnce, step())
while count < mostMessages and not isFull and place >= 1 and place <= depth do
  local found, longest = range(math.min(atOnce, mostMessages - count)), 1
  for _, message in ipairs(found) do
    local length = #message
    local isRead = length <= mostMessageBytes
    if isRead and count >= leastMessages and bytes + length > mostBytes then
      isFull = true
      break
    end
    count = count + 1
    longest = math.max(longest, length)
    if isRead then
      rows[count] = message
      bytes = bytes + length
    else
      -- This took Redis long enough. What the same LRANGE has brought is still returned.
      rows[count] = { length, redis.sha1hex(message:sub(1, sampleBytes) .. message:sub(-sampleBytes)) }
      isFull = count >= leastMessages
    end
  end
  place = place + direction * #found
  atOnce = math.max(1, math.min(step(), math.floor((mostBytes - bytes) / longest)))
end
return { depth, first, rows }
