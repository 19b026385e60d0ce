-- Deletes the oldest records of a source that are too old or too many.
-- KEYS  1 records (hash)  2 order (list)
-- ARGV  1 most records  2 seconds that a record is kept  3 most entries to look at
-- Returns {entries looked at and deleted, records that were deleted before their time, entries left}. Bound: ARGV[3] entries.
local records, order = KEYS[1], KEYS[2]
local most, keepSeconds, look = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- include drop_records.lua

local gone, evicted, kept = dropRecords(records, order, most, redis.call('TIME')[1] - keepSeconds, look)
if gone > 0 then expireRecords(records, order, kept, keepSeconds) end
return { gone, evicted, kept }
