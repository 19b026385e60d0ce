-- Moves messages of a DLQ to the target or the dead list, if they have not changed since they were read: the oldest ones in a
-- row, or picked ones by their places near either end.
-- All or nothing: all checks come first, because Redis does not undo the writes of a failed script.
-- KEYS  1 dlq (list)  2 target (list)  3 dead (list; for an oversize message, the oversize list)  4 state (hash)
--       5 receipt (string: the caller's last commit)
-- ARGV  1 count (1..4000)  2 lengths of the messages "l1,l2,…", newest first  3 sha1 of the messages joined, newest first
--       (empty: this runs in a transaction, and WATCH covers the DLQ since the read, so no proof is needed)
--       4 sampleBytes (0: the digest covers all bytes; else count is 1 and it covers this many first and last bytes)
--       5 sequence number read before the messages  6 id of this commit  7 notAfterMs (server's clock)
--       8 most messages that the target may hold afterwards (-1: no limit)  9 1: the cycle ends with this commit, else 0
--      10 number of messages for the target; the others are dead   11 token of the leader lease (empty: not checked)
--      12 messages that are moved unchanged, "slot:place,…" by slot: slots count from 1 the messages for the target, then the
--       dead ones, both oldest first; places count from 1, from the oldest
--      13 number of messages that count against the cycle's budget   14 number of messages that are replayed for the first time
--      15 places of picked messages, counted from 1, from the oldest, "p1,p2,…", newest first; each must be near an end
--       (empty: 1..count)
--      16 number n of more fields of the state, then n names and values, then the payloads of all other messages by slot
-- Returns 'ok' | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'bound' | 'wrong_type' | 'conflict' | 'room' | 'invalid'.
-- Only 'ok' changes anything. Bound: the messages of one chunk, and those between a picked message and its end of the list.
local dlq, target, dead, state, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local count, lengths, digest, sampleBytes = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local sequence, id, notAfterMs, room, ends = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'
local replays, token, unchanged, spent = tonumber(ARGV[10]), ARGV[11], ARGV[12], tonumber(ARGV[13])
local firsts, picked, extras = tonumber(ARGV[14]), ARGV[15], tonumber(ARGV[16])
local RECEIPT_SECONDS = 86400
-- include whole.lua

if not count or count < 1 or count > 4000 or not extras or not firsts then return 'invalid' end
if not replays or replays < 0 or replays > count or not spent or spent < 0 then return 'invalid' end
local _, kept = unchanged:gsub(':', '')
local before = 16 + 2 * extras
if #ARGV - before + kept ~= count then return 'invalid' end
local places = {}
for place in picked:gmatch('%d+') do places[#places + 1] = tonumber(place) end
if #places > 0 and (#places ~= count or kept > 0 or digest == '') then return 'invalid' end
for _, expected in ipairs({ { dlq, 'list' }, { target, 'list' }, { dead, 'list' }, { state, 'hash' }, { receipt, 'string' } }) do
  local kind = redis.call('TYPE', expected[1]).ok
  if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
end
local record = redis.call('HMGET', state, 'seq', 'remaining', 'replayed', 'dead', 'leader', 'firsts', 'replayedTotal',
  'pickedTotal')
if redis.call('GET', receipt) == id then return 'duplicate' end
if token ~= '' and record[5] ~= token then return 'not_leader' end
if whole(record[1]) ~= sequence then return 'stale' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
if nowMs > notAfterMs then return 'expired' end
local remaining = tonumber(whole(record[2]))
if remaining < spent then return 'bound' end

local depth, current = redis.call('LLEN', dlq), nil
if #places > 0 then
  current = {}
  for i, place in ipairs(places) do
    -- Count from the nearer end: an old Redis walks the list from the end that the sign selects.
    local fromHead = depth - place
    if fromHead < 0 then return 'conflict' end
    current[i] = redis.call('LINDEX', dlq, fromHead < place and fromHead or -place)
    if not current[i] then return 'conflict' end
  end
end
if digest ~= '' then
  -- Compare the two ends first, so that a list that has changed does not make this script read large messages.
  local oldest = current and current[count] or redis.call('LINDEX', dlq, -1)
  local newest = current and current[1] or count == 1 and oldest or redis.call('LINDEX', dlq, -count)
  if not oldest or not newest then return 'conflict' end
  if tonumber(lengths:match('%d+$')) ~= #oldest or tonumber(lengths:match('^%d+')) ~= #newest then return 'conflict' end
  current = current or count == 1 and { oldest } or redis.call('LRANGE', dlq, -count, -1)
  local found = {}
  for i = 1, #current do found[i] = #current[i] end
  if table.concat(found, ',') ~= lengths then return 'conflict' end
  local bytes = count == 1 and oldest or table.concat(current)
  local sample = sampleBytes > 0 and oldest:sub(1, sampleBytes) .. oldest:sub(-sampleBytes) or bytes
  if redis.sha1hex(sample) ~= digest then return 'conflict' end
elseif depth < count then
  return 'conflict'
end

if room >= 0 and replays > 0 and redis.call('LLEN', target) + replays > room then return 'room' end

-- The pushed payloads by slot, after index `before`.
local pushed = ARGV
if kept > 0 then
  pushed = {}
  for slot, place in unchanged:gmatch('(%d+):(%d+)') do
    pushed[before + slot] = redis.call('LINDEX', dlq, -place)
    if not pushed[before + slot] then return 'invalid' end
  end
  local payload = before
  for slot = before + 1, before + count do
    if not pushed[slot] then
      payload = payload + 1
      pushed[slot] = ARGV[payload]
    end
  end
end

-- These writes change nothing, but fail on out-of-memory, read-only and missing permissions before any message moves.
redis.call('HSET', state, 'seq', sequence)
redis.call('SET', receipt, '', 'EX', RECEIPT_SECONDS)
redis.call('LTRIM', dlq, 0, -1)
if replays > 0 then redis.call('LPUSH', target, unpack(pushed, before + 1, before + replays)) end
-- Removes the pushed messages again if a later write is forbidden.
local function refuse(reply, deaths)
  if replays > 0 then redis.call('LTRIM', target, replays, -1) end
  if deaths > 0 then redis.call('LTRIM', dead, deaths, -1) end
  return redis.error_reply(reply.err)
end
if replays < count then
  local reply = redis.pcall('LPUSH', dead, unpack(pushed, before + replays + 1, before + count))
  if type(reply) == 'table' and reply.err then return refuse(reply, 0) end
end
if #places > 0 then
  for i, place in ipairs(places) do
    -- The message is at the verified place, so the search ends there at the latest.
    local reply = redis.pcall('LREM', dlq, depth - place < place and 1 or -1, current[i])
    if type(reply) == 'table' and reply.err then return refuse(reply, count - replays) end
  end
else
  redis.call('LTRIM', dlq, 0, -(count + 1))
end
redis.call('SET', receipt, id, 'EX', RECEIPT_SECONDS)
redis.call('HSET', state,
  'seq', tonumber(sequence) + 1,
  'replayed', tonumber(whole(record[3])) + replays, 'dead', tonumber(whole(record[4])) + count - replays,
  'remaining', ends and 0 or math.min(remaining - spent, redis.call('LLEN', dlq)), 'firsts', tonumber(whole(record[6])) + firsts,
  'replayedTotal', tonumber(whole(record[7])) + replays, 'pickedTotal', tonumber(whole(record[8])) + #places,
  'movedAtMs', nowMs, unpack(ARGV, 17, before))
return 'ok'
