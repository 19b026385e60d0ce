-- Pauses or resumes a source: sets the fields of its state that the gate `pause` goes by. A commit or a cycle that was decided on
-- before is refused as stale, so nothing moves any more once this script has answered.
-- KEYS  1 state (hash)
-- ARGV  1 forMs (length of the pause; 0: resume)  2 name of the operator  3 reason
--       4 most bytes of a field; longer fields are left out  5.. names of the fields to read
-- Returns {field, value, …} as they were before, and nowMs; or 'wrong_type'. Bound: the named fields.
local state = KEYS[1]
local forMs, by, reason = tonumber(ARGV[1]), ARGV[2], ARGV[3]
-- include whole.lua
-- include state_fields.lua

local kind = redis.call('TYPE', state).ok
if kind ~= 'none' and kind ~= 'hash' then return 'wrong_type' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local flat = readFields(state, 4)

redis.call('HSET', state,
  'seq', tonumber(whole(redis.call('HGET', state, 'seq'))) + 1,
  'pausedUntilMs', forMs > 0 and nowMs + forMs or 0, 'pausedBy', by, 'pauseReason', reason)
return { flat, nowMs }
