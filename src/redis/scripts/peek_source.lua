-- Reads a source's record, the depth of its DLQ and the server's clock, as of one instant. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- Returns {record as field, value, …}, depth, nowMs. Bound: O(fields of the record).
local dlq, state = KEYS[1], KEYS[2]

local time = redis.call('TIME')
return { redis.call('HGETALL', state), redis.call('LLEN', dlq), time[1] * 1000 + math.floor(time[2] / 1000) }
