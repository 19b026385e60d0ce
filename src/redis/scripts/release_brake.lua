-- Releases the brake of a source, and lets the next cycle begin at once. A source whose brake is released already is left as it is.
-- KEYS  1 state (hash)
-- ARGV  1 number n of fields of a released brake  2.. their names and values
--       2n+2 most bytes of a field; longer fields are left out  2n+3.. names of the fields to read
-- Returns {field, value, …} as they were before, and nowMs; or 'wrong_type'. Bound: the named fields.
local state = KEYS[1]
local fields = tonumber(ARGV[1])
-- include whole.lua
-- include state_fields.lua

local kind = redis.call('TYPE', state).ok
if kind ~= 'none' and kind ~= 'hash' then return 'wrong_type' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local flat = readFields(state, 2 * fields + 2)

local record = redis.call('HMGET', state, 'seq', 'cycle', 'suspect', 'allowance', 'boundBy')
if record[3] ~= '1' and (record[4] or '') == '' then return { flat, nowMs } end
redis.call('HSET', state,
  'seq', tonumber(whole(record[1])) + 1, 'wantedCycle', tonumber(whole(record[2])) + 1, 'releasedAtMs', nowMs,
  -- A cycle that waits for the next canary group closes the gate `returns`.
  'boundBy', record[5] == 'held' and 'depth' or record[5] or '', unpack(ARGV, 2, 2 * fields + 1))
return { flat, nowMs }
