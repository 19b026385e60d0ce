-- Moves messages of a job's shelf or own list back to the oldest end of the list, the newest of them first, so that the list
-- followed by what is left is in order at every instant.
-- KEYS  1 from (list: the shelf or the job's own list)  2 list  3 state (hash)  4 receipt (string: the caller's last move)
-- ARGV  1 sequence number  2 id of this move  3 notAfterMs (server's clock)  4 token of the leader lease (empty: not checked)
--       5 job  6 phase of the job  7 most messages  8 most bytes (passed by the last message)  9 next phase when `from` is empty
--       10 by how much a moved message changes the DLQ, of which the job's own list is a part: -1, 0 or 1
--       11 milliseconds until `from` expires at the earliest (0: it does not expire)
-- Returns {messages left in `from`} | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'wrong_type' | 'invalid'. Only the first
-- changes anything. Bound: that many moves, or the bytes and one message.
local from, list, state, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sequence, id, notAfterMs, token, job = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local phase, most, mostBytes, nextPhase = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local change, keepMs = tonumber(ARGV[10]), tonumber(ARGV[11])
-- include whole.lua
-- include move_checks.lua
-- include move_message.lua

if not most or most < 1 or most > 500 or not mostBytes then return 'invalid' end
local refusal = findMoveRefusal({ { from, 'list' }, { list, 'list' } }, 'job', 'jobPhase', 'jobReturned', 'scannedDepth')
if refusal then return refusal end
if record[3] ~= job or record[4] ~= phase then return 'stale' end

tryWrites(list)
if keepMs > 0 then redis.call('PEXPIRE', from, keepMs) end
local moved, bytes = 0, 0
while moved < most and bytes < mostBytes do
  local message = moveMessage(from, list, 'LEFT', 'RIGHT')
  if not message then break end
  moved = moved + 1
  bytes = bytes + #message
end
local left = redis.call('LLEN', from)
-- Returns are computed from the depth of the DLQ.
local scanned = record[6]
if scanned and change ~= 0 then
  redis.call('HSET', state, 'scannedDepth', math.max(0, tonumber(whole(scanned)) + change * moved))
end
local returned = tonumber(whole(record[5])) + (phase == 'act' and moved or 0)
recordMove('jobPhase', left == 0 and nextPhase or phase, 'jobReturned', returned)
return { left }
