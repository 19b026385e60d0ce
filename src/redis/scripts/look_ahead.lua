-- An include: the length of the longest of a few messages, so that the next read knows what it may meet.
-- `from`: the first place that is looked at, counted from 1 at the oldest; then each `step`-th place, `samples` in all, but no more
-- behind those that have MOST_SAMPLED bytes: a message of 1 MiB costs 1.5 ms, and one says enough.
local MOST_SAMPLED = 131072
local function longestAhead(dlq, from, step, samples)
  local longest, bytes = 0, 0
  for i = 0, samples - 1 do
    if bytes >= MOST_SAMPLED then break end
    local message = redis.call('LINDEX', dlq, -(from + i * step))
    if not message then break end
    if #message > longest then longest = #message end
    bytes = bytes + #message
  end
  return longest
end
