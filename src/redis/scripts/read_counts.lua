-- Reads the newest slots of the objectives' counts, and the server's clock. Changes nothing.
-- KEYS  1 fine (list)  2 coarse (list)
-- ARGV  1 most slots of each list
-- Returns {nowMs, fine slots, coarse slots}, the newest first | 'wrong_type'. Bound: the requested slots.
local fine, coarse = KEYS[1], KEYS[2]
local newest = tonumber(ARGV[1])
-- include newest_slots.lua

if not isList(fine) or not isList(coarse) then return 'wrong_type' end
return newestSlots(fine, coarse, readClock(), newest)
