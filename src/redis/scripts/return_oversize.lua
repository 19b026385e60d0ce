-- Puts the oldest oversize messages back at the newest end of their DLQ.
-- KEYS  1 oversize list  2 DLQ
-- ARGV  1 most messages
-- Returns {moved, left}; or 'wrong_type'. Bound: ARGV[1] moves, none of which copies a message.
local oversize, dlq = KEYS[1], KEYS[2]
local most = tonumber(ARGV[1])

for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= 'list' then return 'wrong_type' end
end

local moved = 0
while moved < most and redis.call('RPOPLPUSH', oversize, dlq) do moved = moved + 1 end
return { moved, redis.call('LLEN', oversize) }
