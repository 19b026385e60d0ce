-- An include: appends an entry to a journal (stream). Each entry holds the hash of the one before.
-- The head, "number hash" of the newest entry, is kept outside of the stream, so that removing the newest entries shows.
-- Returns the new head. If XADD fails (the user may not call it), the head counts the entry all the same, and the journal shows
-- which number is missing. A wrong type is the caller's to check. Bound: one entry.
local function appendEntry(journal, head, most, entry)
  local number, previous = (head or ''):match('^(%d+) (%x*)$')
  if not number or #number > 15 or #previous > 40 then number, previous = 0, '' end
  number = string.format('%d', number + 1)
  local id = redis.pcall('XADD', journal, 'MAXLEN', '~', most, '*', 'number', number, 'previous', previous, 'entry', entry)
  if type(id) == 'table' then return number .. ' ' .. previous, id end
  return number .. ' ' .. redis.sha1hex(id .. ' ' .. number .. ' ' .. previous .. ' ' .. entry)
end
