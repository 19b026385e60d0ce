-- Finds since when the oldest message of a DLQ has been there, and stores the result for all instances.
-- A list stores no times, so this script keeps marks. A mark is an instant, and the number of messages that were pushed after it.
-- Messages deeper than a mark were there at its instant. Pushes move marks deeper, until they leave the list.
-- KEYS  1 dlq (list)  2 state (hash: counts of moved messages)  3 waiting (string, expires)
-- ARGV  1 sampleBytes  2 most marks  3 keepMs  4 last value of `waiting` that the caller received, used if the key is missing
--       because Redis rejects writes  5 digest of the oldest message that the caller knows
--       6 most bytes of the oldest message to return
-- Returns depth, nowMs, sinceMs, sequence, digest of the oldest message, length of the longer of the newest and oldest message,
-- the new value of `waiting`, and the oldest message ('' if the caller knows it or it is too long).
-- Bound: the newest and oldest message. If other clients have taken messages since the last look: also a search of up to SEARCH
-- messages in each of two places, which each stop after SEARCH_BYTES.
local dlq, state, waiting = KEYS[1], KEYS[2], KEYS[3]
local sampleBytes, mostMarks, keepMs = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lastSeen, knownDigest, mostBytes = ARGV[4], ARGV[5], tonumber(ARGV[6])
local MOST_TEXT, SEARCH, SEARCH_BYTES, SMALL_BYTES = 8191, 200, 262144, 4096
-- include whole.lua
local function number(text) return tonumber(whole(text)) end
local function digest(message)
  return redis.sha1hex(#message .. ':' .. message:sub(1, sampleBytes) .. message:sub(-sampleBytes))
end

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local depth = redis.call('LLEN', dlq)
local record = redis.call('HMGET', state, 'seq', 'cycle', 'replayed', 'dead', 'pickedTotal')
local sequence, cycle, moved = number(record[1]), number(record[2]), number(record[3]) + number(record[4])
local picked = number(record[5])
-- A value of another type, or longer than any value of ours, is ignored.
local kept = redis.pcall('GETRANGE', waiting, 0, MOST_TEXT)
local isKept = type(kept) == 'string' and kept ~= ''
if not isKept then kept = lastSeen end

-- If the write fails, the caller keeps the value.
local function keep(text)
  if not isKept or text ~= kept then redis.pcall('SET', waiting, text, 'PX', keepMs) end
end
if depth == 0 then
  if isKept then keep('empty') end
  return { 0, nowMs, nowMs, sequence, '', 0, 'empty', '' }
end

local newest = redis.call('LINDEX', dlq, 0)
local oldest = depth == 1 and newest or redis.call('LINDEX', dlq, -1)
local longest = math.max(#newest, #oldest)
local newestDigest, oldestDigest = digest(newest), digest(oldest)
local before = {}
before.cycle, before.moved, before.depth, before.bytes, before.newest, before.oldest, before.since, before.picked, before.marks =
  kept:match('^(%d+) (%d+) (%d+) (%d+) (%x+) (%x+) (%d+) (%d+);([%d:,]*)$')

-- Returns how many messages were pushed since the last look: the place of the message that was newest then; nil if not found.
local function findPushed(least)
  local length = number(before.bytes)
  local function isIt(message) return #message == length and digest(message) == before.newest end
  local expected = least == 0 and newest or redis.call('LINDEX', dlq, least)
  if expected and isIt(expected) then return least end
  -- Other clients have also taken messages, or have pushed at the other end.
  local bytes, step = 0, longest > SMALL_BYTES and 1 or 20
  for _, from in ipairs({ least + 1, 0 }) do
    local to = from == 0 and math.min(least, SEARCH) or from + SEARCH
    for at = from, to - 1, step do
      local found = redis.call('LRANGE', dlq, at, math.min(at + step, to) - 1)
      for i = 1, #found do
        if isIt(found[i]) then return at + i - 1 end
        bytes = bytes + #found[i]
      end
      if #found == 0 or bytes > SEARCH_BYTES then break end
    end
  end
  return nil
end

local marks = {}
if before.depth then
  -- A lower bound if a cycle has ended since.
  local taken = number(before.cycle) == cycle and math.max(0, moved - number(before.moved)) or moved
  local pickedSince = math.max(0, picked - number(before.picked))
  local more = depth - number(before.depth) + math.max(taken, pickedSince)
  local pushed = findPushed(math.max(0, more))
  -- The former newest message may have been picked. A mark that is too deep makes messages look younger, never older.
  if not pushed and pickedSince > 0 and more >= 0 then pushed = more end
  if pushed then
    if pushed > 0 then marks[1] = { 0, nowMs } end
    for place, sinceMs in before.marks:gmatch('(%d+):(%d+)') do
      local mark = { number(place) + pushed, number(sinceMs) }
      local last = marks[#marks]
      local isLater = not last or (mark[1] > last[1] and mark[2] <= last[2])
      if isLater and mark[1] < depth and mark[2] > 0 and mark[2] <= nowMs then marks[#marks + 1] = mark end
    end
  elseif taken == 0 and before.oldest == oldestDigest and number(before.since) > 0 and number(before.since) <= nowMs then
    if depth > 1 then marks[1] = { 0, nowMs } end
    marks[#marks + 1] = { depth - 1, number(before.since) }
  end
end
if #marks == 0 then marks[1] = { 0, nowMs } end
-- If there are too many marks, remove the one with the smallest relative error of an age.
while #marks > mostMarks do
  local least, smallest = 2, math.huge
  for i = 2, #marks - 1 do
    local part = (marks[i - 1][2] - marks[i][2]) / (nowMs - marks[i][2] + 1)
    if part < smallest then least, smallest = i, part end
  end
  table.remove(marks, least)
end

local sinceMs = marks[#marks][2]
local shown = {}
for i = 1, #marks do shown[i] = string.format('%.0f:%.0f', marks[i][1], marks[i][2]) end
local text = string.format('%.0f %.0f %.0f %.0f %s %s %.0f %.0f;%s', cycle, moved, depth, #newest, newestDigest, oldestDigest,
  sinceMs, picked, table.concat(shown, ','))
keep(text)
local isWanted = oldestDigest ~= knownDigest and #oldest <= mostBytes
return { depth, nowMs, sinceMs, tostring(sequence), oldestDigest, longest, text, isWanted and oldest or '' }
