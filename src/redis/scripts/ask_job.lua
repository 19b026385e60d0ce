-- Pauses, resumes or cancels the running job of a source. Any instance may call it. The raised sequence number makes a move in
-- flight stale, so nothing moves after the answer that was decided before it.
-- KEYS  1 state (hash)  2 job (hash)
-- ARGV  1 id  2 'pause' | 'resume' | 'cancel'
-- Returns 'ok' | 'not_running' (it is not the running job, or its cancellation has begun). A cancellation also ends a phase that no
-- program knows, which another client has written. Bound: O(1).
local state, job = KEYS[1], KEYS[2]
local id, wish = ARGV[1], ARGV[2]
-- include whole.lua

local record = redis.call('HMGET', state, 'seq', 'job', 'jobPhase', 'jobCancelled')
if record[2] ~= id then return 'not_running' end
local sequence = tonumber(whole(record[1])) + 1
local isKept = redis.call('HGET', job, 'status')
if wish == 'cancel' then
  if record[4] == '1' and (record[3] == 'restore' or record[3] == 'back') then return 'not_running' end
  -- First what the sweep has passed goes back, then what it has picked.
  local phase = record[3] == 'act' and 'back' or 'restore'
  redis.call('HSET', state, 'seq', sequence, 'jobCancelled', 1, 'jobPaused', 0, 'jobPhase', phase)
  if isKept then redis.call('HSET', job, 'status', 'running') end
  return 'ok'
end
redis.call('HSET', state, 'seq', sequence, 'jobPaused', wish == 'pause' and 1 or 0)
if isKept then redis.call('HSET', job, 'status', wish == 'pause' and 'paused' or 'running') end
return 'ok'
