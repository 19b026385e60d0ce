-- An include: reads fields of a source's state. Any client may have written to the hash, so longer fields are left out.
-- ARGV  `first`: most bytes of a field, then the names of the fields up to the last argument
-- Returns {field, value, …}, and the same as a table by name.
local function readFields(state, first)
  local most, flat, record = tonumber(ARGV[first]), {}, {}
  for i = first + 1, #ARGV do
    if redis.call('HSTRLEN', state, ARGV[i]) <= most then
      record[ARGV[i]] = redis.call('HGET', state, ARGV[i]) or ''
      flat[#flat + 1] = ARGV[i]
      flat[#flat + 1] = record[ARGV[i]]
    end
  end
  return flat, record
end
