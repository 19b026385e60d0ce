-- Moves messages that an import has staged to the newest end of the DLQ, the oldest of them first.
-- KEYS  1 own (list: the job's)  2 dlq (list)  3 state (hash)  4 receipt (string: the caller's last move)
-- ARGV  1 sequence number  2 id of this move  3 notAfterMs (server's clock)  4 token of the leader lease (empty: not checked)
--       5 job  6 most messages  7 most bytes (passed by the last message)
-- Returns {messages left in `own`} | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'wrong_type' | 'invalid'. Only the first
-- changes anything. Bound: that many moves, or the bytes and one message.
local own, dlq, state, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local sequence, id, notAfterMs, token, job = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local most, mostBytes = tonumber(ARGV[6]), tonumber(ARGV[7])
-- include whole.lua
-- include move_checks.lua

if not most or most < 1 or most > 500 or not mostBytes then return 'invalid' end
local refusal = findMoveRefusal({ { own, 'list' }, { dlq, 'list' } }, 'job', 'jobPhase', 'jobVerb', 'jobSwept', 'scannedDepth')
if refusal then return refusal end
if record[3] ~= job or record[4] ~= 'act' or record[5] ~= 'import' then return 'stale' end

tryWrites(own)
local moved, bytes = 0, 0
while moved < most and bytes < mostBytes do
  -- If the first move is forbidden, the script ends here and nothing has changed.
  local message = redis.call('RPOPLPUSH', own, dlq)
  if not message then break end
  moved = moved + 1
  bytes = bytes + #message
end
-- Returns are computed from the depth of the DLQ, and these are none.
if record[7] then redis.call('HSET', state, 'scannedDepth', tonumber(whole(record[7])) + moved) end
recordMove('jobSwept', tonumber(whole(record[6])) + moved)
return { redis.call('LLEN', own) }
