-- Tells a reader of ranges what it will meet. Changes nothing. A DLQ goes on in its shelf while a job sweeps it.
-- KEYS  1 list  2 shelf (list; the older part)
-- ARGV  1 1: the list goes on in the shelf, else 0  2 place of the first sample, from 1 at the oldest
--       3 step between samples  4 samples
-- Returns the number of shelved messages, the depth, and the length of the longest sample.
-- Bound: the samples.
local list, shelf = KEYS[1], KEYS[2]
local hasShelf, place, step, samples = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- include look_ahead.lua

local shelved = hasShelf and redis.call('LLEN', shelf) or 0
local key, from = list, place - shelved
if place <= shelved then key, from = shelf, place end
return { shelved, shelved + redis.call('LLEN', list), longestAhead(key, from, step, samples) }
