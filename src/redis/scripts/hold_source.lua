-- Pauses, resumes, freezes or unfreezes a source: sets the fields of its state that the gate `pause` or `window` goes by. What was decided
-- on before, a commit, a cycle or a move of a job, is refused as stale, so nothing that the gate holds moves once this script has answered.
-- KEYS  1 state (hash)
-- ARGV  1 forMs (length; 0: it ends now)  2 name of the operator  3 reason
--       4 field for the end (milliseconds since the epoch, server's clock)  5 field for the operator  6 field for the reason
--       7 most bytes of a field; longer fields are left out  8.. names of the fields to read
-- Returns {field, value, …} as they were before, and nowMs; or 'wrong_type'. Bound: the named fields.
local state = KEYS[1]
local forMs, by, reason = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local untilField, byField, reasonField = ARGV[4], ARGV[5], ARGV[6]
-- include whole.lua
-- include state_fields.lua

local kind = redis.call('TYPE', state).ok
if kind ~= 'none' and kind ~= 'hash' then return 'wrong_type' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local flat = readFields(state, 7)

redis.call('HSET', state,
  'seq', tonumber(whole(redis.call('HGET', state, 'seq'))) + 1,
  untilField, forMs > 0 and nowMs + forMs or 0, byField, by, reasonField, reason)
return { flat, nowMs }
