-- An include: moves a message from a side of a list to a side of another one, as LMOVE does.
-- Redis 6.0 has no LMOVE. There the push comes before the pop, which is certainly allowed: it was tried.
-- Returns the message; false if there is none. Bound: one message.
local function moveMessage(from, to, side, toSide)
  local reply = redis.pcall('LMOVE', from, to, side, toSide)
  if type(reply) ~= 'table' then return reply end
  if not reply.err:find('nknown') then return redis.call('LMOVE', from, to, side, toSide) end
  local isLeft = side == 'LEFT'
  local message = redis.call('LINDEX', from, isLeft and 0 or -1)
  if not message then return message end
  redis.call('LTRIM', from, 0, -1)
  redis.call(toSide == 'LEFT' and 'LPUSH' or 'RPUSH', to, message)
  redis.call('LTRIM', from, isLeft and 1 or 0, isLeft and -1 or -2)
  return message
end
