-- An include: deletes the oldest records of a source, those that are too old and those that are too many.
-- Each commit that writes records adds an entry to the order: "earlier:second:keys", where `earlier` is the number of keys in all entries
-- before it, and `keys` are those of its records, one after the other. If a record was written again since, its key is left over, and
-- only that goes.
local DIGITS, MOST_KEYS = 16, 4000

-- Parses an entry; nil if it is none, because any client may write there.
local function parseEntry(entry)
  local earlier, second, keys = entry:match('^(%d+):(%d+):(%x+)$')
  if not keys or #keys % DIGITS > 0 or #keys > MOST_KEYS * DIGITS then return nil end
  return tonumber(earlier), second, keys
end

-- Returns the number of keys in all entries that there have been.
local function countKeys(order)
  local earlier, _, keys = parseEntry(redis.call('LINDEX', order, 0) or '')
  return earlier and earlier + #keys / DIGITS or 0
end

-- Deletes the records that were written in that second and not since. Returns how many.
local function dropEntry(records, second, keys)
  local names, gone = {}, {}
  for name in keys:gmatch(('%x'):rep(DIGITS)) do names[#names + 1] = name end
  for i, text in ipairs(redis.call('HMGET', records, unpack(names))) do
    if text and text:match(':(%d+)$') == second then gone[#gone + 1] = names[i] end
  end
  if #gone > 0 then redis.call('HDEL', records, unpack(gone)) end
  return #gone
end

-- `records` (hash)  `order` (list of entries, newest left)  `most` records, and keys of the order  `before` this second a record is too
-- old  `look` at so many entries and keys, and at the rest of the last entry. Returns the entries and keys that went, the records among
-- them that were not too old, and the records that are left. Bound: `look`, and the records of a commit.
local function dropRecords(records, order, most, before, look)
  local all, kept, looked, evicted = countKeys(order), redis.call('HLEN', records), 0, 0
  while looked < look do
    local entry = redis.call('LINDEX', order, -1)
    if not entry then break end
    local earlier, second, keys = parseEntry(entry)
    looked = looked + 1
    if earlier then
      local isOld = tonumber(second) < before
      if not isOld and all - earlier <= most and kept <= most then break end
      local gone = dropEntry(records, second, keys)
      if not isOld then evicted = evicted + gone end
      kept, looked = kept - gone, looked + #keys / DIGITS
    end
    redis.call('LTRIM', order, 0, -2)
  end
  return looked, evicted, kept
end

-- A hash is deleted at once when it expires, so only a small one does: that of a source that is gone. Else the service deletes records.
local SMALL, DAY, CENTURY = 1000, 86400000, 3155760000000
local function expireRecords(records, order, kept, keepSeconds)
  local keepMs = kept <= SMALL and keepSeconds * 1000 + DAY or CENTURY
  redis.call('PEXPIRE', records, keepMs)
  redis.call('PEXPIRE', order, keepMs)
end
