-- Sweeps the oldest messages of a list, if they stand where they were read: the picked ones go to the job's own list, the others
-- to the shelf. A list moves only at its ends, so the two ends of the chunk and each picked message are compared, not all bytes.
-- All checks come first; a write that may be refused comes before the first move.
-- KEYS  1 list  2 shelf (list)  3 own (list: the picked messages)  4 state (hash)  5 receipt (string: the caller's last move)
-- ARGV  1 sequence number read before the messages  2 id of this move  3 notAfterMs (server's clock)  4 token of the leader lease
--       (empty: not checked)  5 job  6 count (0: the list is empty, or the sweep is over)  7 sha1 of the oldest and the newest message joined
--       8 sampleBytes (0: that digest covers all bytes; else count is 1, and it covers this many first and last bytes)
--       9 places of the picked, from 1 at the oldest, each with its sha1: "3:<sha1>,17:<sha1>,"
--       10 messages that the sweep has left afterwards; 0: it is over
-- Returns 'ok' | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'conflict' | 'wrong_type' | 'invalid'. Only 'ok' changes
-- anything. Bound: count moves, and the bytes of the two ends, of the picked and of the moved messages.
local list, shelf, own, state, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local sequence, id, notAfterMs, token, job = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local count, digest, sampleBytes, picks, left = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
-- include whole.lua
-- include move_checks.lua

if not count or count < 0 or count > 500 or not left or left < 0 then return 'invalid' end
local refusal = findMoveRefusal({ { list, 'list' }, { shelf, 'list' }, { own, 'list' } },
  'job', 'jobPhase', 'jobSwept', 'jobPicked', 'jobList', 'scannedDepth', 'jobLeft')
if refusal then return refusal end
if record[3] ~= job or record[4] ~= 'sweep' then return 'stale' end

if count == 0 then
  if left > 0 or (redis.call('LLEN', list) > 0 and tonumber(whole(record[9])) > 0) then return 'conflict' end
else
  local oldest, newest = redis.call('LINDEX', list, -1), redis.call('LINDEX', list, -count)
  if not oldest or not newest then return 'conflict' end
  local ends = sampleBytes > 0 and oldest:sub(1, sampleBytes) .. oldest:sub(-sampleBytes) or oldest .. newest
  if redis.sha1hex(ends) ~= digest then return 'conflict' end
end
local isPicked, picked = {}, 0
for place, sum in picks:gmatch('(%d+):(%x+)') do
  place = tonumber(place)
  if place < 1 or place > count or isPicked[place] then return 'invalid' end
  local message = redis.call('LINDEX', list, -place)
  if not message or redis.sha1hex(message) ~= sum then return 'conflict' end
  isPicked[place] = true
  picked = picked + 1
end

tryWrites(list)
for place = 1, count do
  -- If the first move is forbidden, the script ends here and nothing has changed. RPOPLPUSH: Redis 6.0 has no LMOVE.
  redis.call('RPOPLPUSH', list, isPicked[place] and own or shelf)
end
-- The job's own list counts as part of the DLQ, whose depth returns are computed from.
local scanned = record[8]
if scanned and record[7] == 'dead' then redis.call('HSET', state, 'scannedDepth', tonumber(whole(scanned)) + picked) end
recordMove('jobSwept', tonumber(whole(record[5])) + count, 'jobPicked', tonumber(whole(record[6])) + picked, 'jobLeft', left,
  'jobPhase', left == 0 and 'restore' or 'sweep')
return 'ok'
