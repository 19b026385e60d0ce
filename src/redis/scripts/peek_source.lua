-- Reads a source's state, the depth of its DLQ and the server's clock at one instant. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)  3 shelf (list: what a job has swept past still belongs to its list)
-- ARGV  1 most bytes of a field  2.. names of the fields
-- Returns {field, value, …}, depth, nowMs. Longer fields are left out. Bound: the named fields.
local dlq, state, shelf = KEYS[1], KEYS[2], KEYS[3]
-- include state_fields.lua

local time, record = redis.call('TIME'), readFields(state, 1)
local shelved = redis.call('HGET', state, 'jobList') ~= 'dead' and redis.call('LLEN', shelf) or 0
return { record, redis.call('LLEN', dlq) + shelved, time[1] * 1000 + math.floor(time[2] / 1000) }
