-- Appends an entry to a journal that all sources share.
-- KEYS  1 journal (stream)  2 its head (string)
-- ARGV  1 most entries that the journal keeps, about  2 the entry
-- Returns 'ok' | 'wrong_type', or the error of XADD; then nothing has changed. Bound: one entry.
local journal, head = KEYS[1], KEYS[2]
local most, entry = ARGV[1], ARGV[2]
-- include append_entry.lua

for _, expected in ipairs({ { journal, 'stream' }, { head, 'string' } }) do
  local kind = redis.call('TYPE', expected[1]).ok
  if kind ~= 'none' and kind ~= expected[2] then return 'wrong_type' end
end
local last = redis.call('GET', head)
-- Changes nothing, but fails on out-of-memory, read-only and missing permissions before the entry is written.
redis.call('SET', head, last or '')
local now, failure = appendEntry(journal, last, most, entry)
if failure then return failure end
redis.call('SET', head, now)
return 'ok'
