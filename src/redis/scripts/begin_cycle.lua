-- Begins a cycle if one is due by the server's clock. All instances share one budget and one interval.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 sequence number that the caller read  2 intervalMs (0: always due)  3 budget (messages)
--       4 sampleBytes  5 token of the leader lease (empty: not checked)  6 id of the job that the caller works for (empty: none)
--       7.. more fields of the state: name, value, … `standing` gets a mark for the new cycle (src/cycle/standing.ts)
-- Returns 'ok' | 'not_leader' | 'stale' | 'not_due' | 'job' (another one runs, or none) | 'wrong_type'. Bound: reads one message, the newest, to
-- store its digest, and with `standing` the one that was newest before.
local dlq, state = KEYS[1], KEYS[2]
local sequence, intervalMs, budget, sampleBytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local token, job = ARGV[5], ARGV[6]
local STANDING_BYTES = 65536
-- include whole.lua
-- include sample_digest.lua

for _, expected in ipairs({ { dlq, 'list' }, { state, 'hash' } }) do
  local kind = redis.call('TYPE', expected[1]).ok
  if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
end
local record = redis.call('HMGET', state, 'seq', 'startedAtMs', 'cycle', 'leader', 'job',
  'depthAtStart', 'replayed', 'dead', 'newestBytes', 'newestDigest')
if token ~= '' and record[4] ~= token then return 'not_leader' end
if whole(record[1]) ~= sequence then return 'stale' end
if (record[5] or '') ~= job then return 'job' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local elapsedMs = nowMs - tonumber(whole(record[2]))
-- If the last start is in the future, the clock was set back: the cycle is due.
if elapsedMs >= 0 and elapsedMs < intervalMs then return 'not_due' end

local depth = redis.call('LLEN', dlq)
local newest = redis.call('LINDEX', dlq, 0) or ''

-- The marks of earlier cycles say something only if the message that was newest when the last one began is at its place. A large one
-- is not looked at.
local function isNewestAtPlace()
  local place, length = tonumber(whole(record[6])) - tonumber(whole(record[7])) - tonumber(whole(record[8])), tonumber(whole(record[9]))
  if place < 1 or place > depth or length > STANDING_BYTES then return false end
  -- Count from the nearer end: an old Redis walks the list from the end that the sign selects.
  local message = redis.call('LINDEX', dlq, depth - place < place and depth - place or -place)
  return #message == length and digest(message) == record[10]
end
local cycle = tonumber(whole(record[3])) + 1
for i = 7, #ARGV, 2 do
  if ARGV[i] == 'standing' then
    local carried = ARGV[i + 1] ~= '' and isNewestAtPlace() and ARGV[i + 1] .. ',' or ''
    ARGV[i + 1] = depth > 0 and cycle .. '/0 ' .. carried .. cycle .. ':' .. depth or ''
  end
end

redis.call('HSET', state,
  'seq', tonumber(sequence) + 1, 'cycle', cycle, 'startedAtMs', nowMs, 'depthAtStart', depth, 'remaining', math.min(budget, depth),
  'newestBytes', #newest, 'newestDigest', digest(newest), 'replayed', 0, 'dead', 0, 'firsts', 0,
  unpack(ARGV, 7))
return 'ok'
