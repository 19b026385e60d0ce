-- Asks for a cycle without waiting for the interval. The leader sees it at its next look.
-- KEYS  1 state (hash)
-- ARGV  1 most bytes of a field; longer fields are left out  2.. names of the fields to read
-- Returns {field, value, …} as they were before, and nowMs; or 'wrong_type'. Bound: the named fields.
local state = KEYS[1]
-- include whole.lua
-- include state_fields.lua

local kind = redis.call('TYPE', state).ok
if kind ~= 'none' and kind ~= 'hash' then return 'wrong_type' end
local time = redis.call('TIME')
local flat = readFields(state, 1)

-- The number of the next cycle: its beginning fulfils the wish, whichever instance begins it.
redis.call('HSET', state, 'wantedCycle', tonumber(whole(redis.call('HGET', state, 'cycle'))) + 1)
return { flat, time[1] * 1000 + math.floor(time[2] / 1000) }
