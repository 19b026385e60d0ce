-- Adds counts of the objectives to the slots of a source. A slot is a line: "<number> <fromMs> <lengthMs> <count> <count> …". Its
-- number is one more than that of the slot before, or the clock in seconds if there is none, so that no two have the same.
-- KEYS  1 fine (list, newest left, expires)  2 coarse (list, newest left, expires)
-- ARGV  1 length of a fine slot in milliseconds  2 most fine slots  3 length of a coarse slot  4 most coarse slots  5 keepMs
--       6 leastMs: nothing is added if the newest fine slot ended less than this ago (0: always)  7 most slots of each list to return
--       8 counts of a slot  9… for each addition, the oldest first: the age of its start and of its end in milliseconds, its counts
-- Returns {nowMs, fine slots, coarse slots}, the newest first | 'early' | 'wrong_type'; then nothing has changed.
-- Bound: the additions; 9 commands each.
local fine, coarse = KEYS[1], KEYS[2]
local fineMs, mostFine, coarseMs, mostCoarse = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local keepMs, leastMs, newest, width = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local FIRST, MOST_TEXT = 9, 400
-- include whole.lua
-- include newest_slots.lua

-- Returns the newest slot of a list; nil if there is none, or if no script of ours wrote it.
local function readNewest(list)
  local text = redis.call('LINDEX', list, 0)
  if not text or #text > MOST_TEXT or not text:match('^%d+ %d+ %d+[%d ]*$') then return nil end
  local numbers = {}
  for number in text:gmatch('%d+') do numbers[#numbers + 1] = tonumber(whole(number)) end
  return { number = numbers[1], from = numbers[2], till = numbers[2] + numbers[3], counts = { unpack(numbers, 4) } }
end

local nowMs = readClock()
local function add(list, slotMs, most, added)
  local last, from, till, counts = readNewest(list), added.from, added.till, {}
  local number = last and last.number + 1 or math.floor(nowMs / 1000)
  local takesMore = last and last.from <= till and math.max(last.till, from) < last.from + slotMs
  for i = 1, takesMore and math.max(width, #last.counts) or width do
    counts[i] = string.format('%.0f', (added.counts[i] or 0) + (takesMore and last.counts[i] or 0))
  end
  if takesMore then
    number, from, till = last.number, last.from, math.max(last.till, till)
    redis.call('LTRIM', list, 1, -1)
  elseif last and last.till <= till then
    from = math.max(from, last.till)
  end
  redis.call('LPUSH', list, string.format('%.0f %.0f %.0f ', number, from, till - from) .. table.concat(counts, ' '))
  if not takesMore then redis.call('LTRIM', list, 0, most - 1) end
  redis.call('PEXPIRE', list, keepMs)
end

if not isList(fine) or not isList(coarse) then return 'wrong_type' end
local last = leastMs > 0 and readNewest(fine)
if last and nowMs >= last.till and nowMs - last.till < leastMs then return 'early' end
for at = FIRST, #ARGV, width + 2 do
  local added = { from = nowMs - tonumber(ARGV[at]), till = nowMs - tonumber(ARGV[at + 1]), counts = {} }
  for i = 1, width do added.counts[i] = tonumber(ARGV[at + 1 + i]) end
  add(fine, fineMs, mostFine, added)
  add(coarse, coarseMs, mostCoarse, added)
end
return newestSlots(fine, coarse, nowMs, newest)
