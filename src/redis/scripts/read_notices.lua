-- Reads fields of the notices, and who holds their lease.
-- KEYS  1 notices (hash)
-- ARGV  1 most bytes of a field; longer fields are left out  2.. names of the fields
-- Returns {nowMs, name of the holder of the lease ('': nobody holds it), field, value, …} | 'wrong_type'. Bound: the named fields.
local notices = KEYS[1]
-- include whole.lua
-- include state_fields.lua

local kind = redis.call('TYPE', notices).ok
if kind ~= 'none' and kind ~= 'hash' then return 'wrong_type' end
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local holder = tonumber(whole(redis.call('HGET', notices, 'leaderUntilMs'))) > nowMs and redis.call('HGET', notices, 'leaderName')
local reply = { nowMs, holder or '' }
for _, item in ipairs(readFields(notices, 1)) do reply[#reply + 1] = item end
return reply
