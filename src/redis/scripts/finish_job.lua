-- Ends a job whose own list is empty, or is kept as trash. Automatic replay resumes.
-- KEYS  1 state (hash)  2 receipt (string: the caller's last move)  3 job (hash)  4 own (list)  5 shelf (list)
--       6 claim (string: which job works on the list)
-- ARGV  1 sequence number  2 id of this move  3 notAfterMs (server's clock)  4 token of the leader lease (empty: not checked)
--       5 job  6 phase  7 status  8 milliseconds until the job's hash expires
--       9 milliseconds until the own list expires as trash (0: it must be empty)
--       10 1: the own list counts as a part of the DLQ, else 0  11.. fields of the job: name, value, …
-- Returns 'ok' | 'duplicate' | 'not_leader' | 'stale' | 'expired' | 'conflict' (messages are left) | 'wrong_type'. Only 'ok'
-- changes anything. Bound: O(fields).
local state, receipt, job, own, shelf, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local sequence, id, notAfterMs, token = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local runningJob, phase, status, keepMs, trashMs = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local isCounted = ARGV[10] == '1'
-- include whole.lua
-- include claim.lua
-- include move_checks.lua

local refusal = findMoveRefusal({ { own, 'list' }, { shelf, 'list' }, { job, 'hash' } }, 'job', 'jobPhase', 'scannedDepth')
if refusal then return refusal end
if record[3] ~= runningJob or record[4] ~= phase then return 'stale' end
local kept = redis.call('LLEN', own)
if redis.call('LLEN', shelf) > 0 or (kept > 0 and trashMs == 0) then return 'conflict' end

tryWrites(own)
if kept > 0 then
  redis.call('PEXPIRE', own, trashMs)
  -- Returns are computed from the depth of the DLQ.
  if record[5] and isCounted then redis.call('HSET', state, 'scannedDepth', math.max(0, tonumber(whole(record[5])) - kept)) end
end
redis.call('HSET', job, 'status', status, 'endedAtMs', nowMs, unpack(ARGV, 11))
redis.call('PEXPIRE', job, keepMs)
if redis.call('GET', claim) == formatClaim(runningJob) then redis.call('PEXPIRE', claim, 0) end
recordMove('job', '', 'jobPhase', '', 'remaining', 0)
return 'ok'
