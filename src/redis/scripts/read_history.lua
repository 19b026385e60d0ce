-- Reads samples of a source's history, oldest first, and the server's clock. Changes nothing.
-- KEYS  1 history (stream)
-- ARGV  1 first id  2 most samples
-- Returns {nowMs, {id, {field, value, …}}, …} | 'wrong_type'. Bound: the requested samples.
local history = KEYS[1]
local first, most = ARGV[1], ARGV[2]

local kind = redis.call('TYPE', history).ok
if kind ~= 'none' and kind ~= 'stream' then return 'wrong_type' end
local time, samples = redis.call('TIME'), redis.call('XRANGE', history, first, '+', 'COUNT', most)
table.insert(samples, 1, time[1] * 1000 + math.floor(time[2] / 1000))
return samples
