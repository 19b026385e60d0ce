-- An include: what every commit checks and records. Needs whole.lua and append_entry.lua. `before`: index of the argument before the
-- script's own ones.
-- KEYS  1 dlq (list)  2 target (list)  3 dead (list; for an oversize message, the oversize list)  4 state (hash)
--       5 receipt (string: the caller's last commit)  6 moves (stream: the source's journal)
--       7 records (hash)  8 order (list); only of a source that records its stamps beside the messages, after keep_records.lua
-- ARGV  1 count  2 number of messages for the target; the others are dead  3 sequence number read before the messages
--       4 id of this commit  5 notAfterMs (server's clock)  6 most messages that the target may hold afterwards (-1: no limit)
--       7 1: the cycle ends with this commit, else 0  8 token of the leader lease (empty: not checked)
--       9 number of messages that count against the cycle's budget  10 number of messages that are replayed for the first time
--      11 number n of more fields of the state  12 entry for the journal  13.. n names and values of these fields; those of
--      keep_records.lua, with records; then the script's own arguments
local dlq, target, dead, state, receipt, moves = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local count, replays, sequence, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local notAfterMs, room, ends, token = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1', ARGV[8]
local spent, firsts, extras, entry = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12]
local records, order = KEYS[7], KEYS[8]
local fieldsEnd = 12 + 2 * (extras or 0)
local before = fieldsEnd + (records and 3 or 0)
local MOST_ENTRIES = 10000
local remaining
-- include move_checks.lua

-- Returns why the commit may not run; nil if only the messages in the DLQ may still prevent it. Changes nothing.
local function findRefusal()
  if not count or count < 1 or count > 4000 or not extras or extras < 0 or not firsts or not entry then return 'invalid' end
  if not replays or replays < 0 or replays > count or not spent or spent < 0 then return 'invalid' end
  if records and not areRecordsValid() then return 'invalid' end
  local kinds = { { dlq, 'list' }, { target, 'list' }, { dead, 'list' }, { moves, 'stream' } }
  if records then
    kinds[#kinds + 1] = { records, 'hash' }
    kinds[#kinds + 1] = { order, 'list' }
  end
  local refusal = findMoveRefusal(kinds,
    'remaining', 'replayed', 'dead', 'firsts', 'replayedTotal', 'pickedTotal', 'movesHead')
  if refusal then return refusal end
  remaining = tonumber(whole(record[3]))
  if remaining < spent then return 'bound' end
  return nil
end

-- Records the commit: the stamps, the state, the journal. Call it last. `picked`: how many messages were not the oldest in a row.
-- Returns the answer of the script: 'ok', or with records {'ok', evicted, kept} (keep_records.lua).
local function recordCommit(picked)
  local answer = records and { 'ok', keepRecords(records, order, nowMs) } or 'ok'
  recordMove(
    'replayed', tonumber(whole(record[4])) + replays, 'dead', tonumber(whole(record[5])) + count - replays,
    'remaining', ends and 0 or math.min(remaining - spent, redis.call('LLEN', dlq)), 'firsts', tonumber(whole(record[6])) + firsts,
    'replayedTotal', tonumber(whole(record[7])) + replays, 'pickedTotal', tonumber(whole(record[8])) + picked,
    'movedAtMs', nowMs, 'movesHead', (appendEntry(moves, record[9], MOST_ENTRIES, entry)), unpack(ARGV, 13, fieldsEnd))
  return answer
end
