-- Reads a source's state, the depth of its DLQ and the server's clock at one instant. Changes nothing.
-- KEYS  1 dlq (list)  2 state (hash)
-- ARGV  1 most bytes of a field  2.. names of the fields
-- Returns {field, value, …}, depth, nowMs. Longer fields are left out. Bound: the named fields.
local dlq, state = KEYS[1], KEYS[2]
local mostFieldBytes = tonumber(ARGV[1])

-- Any client may have written to the hash.
local record = {}
for i = 2, #ARGV do
  if redis.call('HSTRLEN', state, ARGV[i]) <= mostFieldBytes then
    record[#record + 1] = ARGV[i]
    record[#record + 1] = redis.call('HGET', state, ARGV[i]) or ''
  end
end

local time = redis.call('TIME')
return { record, redis.call('LLEN', dlq), time[1] * 1000 + math.floor(time[2] / 1000) }
