-- Reads a source's state, the depth of its DLQ and the server's clock at one instant. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most bytes of a field  2.. names of the fields
-- Returns {field, value, …}, depth, nowMs. Longer fields are left out. Bound: the named fields.
local dlq, state = KEYS[1], KEYS[2]
-- include state_fields.lua

local time, record = redis.call('TIME'), readFields(state, 1)
return { record, redis.call('LLEN', dlq), time[1] * 1000 + math.floor(time[2] / 1000) }
