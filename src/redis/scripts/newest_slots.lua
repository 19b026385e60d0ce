-- An include: this file replaces the line `-- include newest_slots.lua` of a script (src/redis/scripts.ts).
-- Returns the newest slots of both lists, the newest first, behind the server's clock.
local function newestSlots(fine, coarse, nowMs, newest)
  return { nowMs, redis.call('LRANGE', fine, 0, newest - 1), redis.call('LRANGE', coarse, 0, newest - 1) }
end
local function isList(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'none' or kind == 'list'
end
local function readClock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
