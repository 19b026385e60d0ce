-- Reads entries of a journal, and its head at the same instant. Changes nothing.
-- KEYS  1 journal (stream)  2 where its head is (a hash; or a string)
-- ARGV  1 XRANGE or XREVRANGE  2 first id  3 last id  4 most entries  5 field with the head (empty: the key is a string)
-- Returns {head, {id, {field, value, …}}, …} | 'wrong_type'. Bound: the requested entries.
local journal, head = KEYS[1], KEYS[2]
local command, first, last, most, field = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local expected = { [journal] = 'stream', [head] = field == '' and 'string' or 'hash' }

for key, type in pairs(expected) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= type then return 'wrong_type' end
end
local entries
if command == 'XREVRANGE' then
  entries = redis.call('XREVRANGE', journal, first, last, 'COUNT', most)
else
  entries = redis.call('XRANGE', journal, first, last, 'COUNT', most)
end
table.insert(entries, 1, (field == '' and redis.call('GET', head) or field ~= '' and redis.call('HGET', head, field)) or '')
return entries
