-- Moves messages of a DLQ to the target or the dead list, if they have not changed since they were read: the oldest ones in a
-- row, or picked ones by their places near either end.
-- All or nothing: all checks come first, because Redis does not undo the writes of a failed script.
-- KEYS, ARGV  as in commit_checks.lua; then:
-- ARGV  1 lengths of the messages "l1,l2,…", newest first  2 sha1 of the messages joined, newest first
--       3 sampleBytes (0: the digest covers all bytes; else count is 1 and it covers this many first and last bytes)
--       4 messages that are moved unchanged, "slot:place,…" by slot: slots count from 1 the messages for the target, then the
--       dead ones, both oldest first; places count from 1, from the oldest
--       5 places of picked messages, counted from 1, from the oldest, "p1,p2,…", newest first; each must be near an end
--       (empty: 1..count)
--       6.. the payloads of all other messages by slot
-- Returns as recordCommit | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'bound' | 'wrong_type' | 'conflict' | 'room' | 'invalid'.
-- Only the first changes anything. Bound: the messages of one chunk, and those between a picked message and its end of the list.
-- include whole.lua
-- include append_entry.lua
-- include commit_checks.lua
local lengths, digest, sampleBytes = ARGV[before + 1], ARGV[before + 2], tonumber(ARGV[before + 3])
local unchanged, picked = ARGV[before + 4], ARGV[before + 5]
before = before + 5

local refusal = findRefusal()
if refusal then return refusal end
local _, kept = (unchanged or ''):gsub(':', '')
if not picked or digest == '' or #ARGV - before + kept ~= count then return 'invalid' end
local places = {}
for place in picked:gmatch('%d+') do places[#places + 1] = tonumber(place) end
if #places > 0 and (#places ~= count or kept > 0) then return 'invalid' end

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

tryWrites(dlq)
if records then tryRecords(records, order) end
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
return recordCommit(#places)
