-- An include: the length of the longest of a few messages, so that the next read knows what it may meet.
-- `from`: the first place that is looked at, counted from 1 at the oldest; then each `step`-th place, `samples` in all.
local function longestAhead(dlq, from, step, samples)
  local longest = 0
  for i = 0, samples - 1 do
    local message = redis.call('LINDEX', dlq, -(from + i * step))
    if not message then break end
    if #message > longest then longest = #message end
  end
  return longest
end
