-- Tries the commands of the other scripts, to find a refusal before a message depends on it. Leaves nothing behind.
-- KEYS  1 dlq (list)  2 target (list)  3 dead (list)  4 state (hash)  5 scratch (never visible to other clients)
--       6 records (hash); only of a source that records its stamps beside the messages
-- ARGV  1 the command that pushes messages to the first three
-- Returns {'ok', error of XADD}, or fails like the other scripts. The journal is optional: without XADD messages move all the
-- same. XADD never accepts the id 0-0, so the error tells whether the user may call it. Redis checks the ACL for all keys before it runs this script, and for each
-- command at its call. Out-of-memory, read-only and similar failures occur at the first write. Bound: about twenty small calls.
local scratch, push = KEYS[5], ARGV[1]

redis.call('TYPE', scratch)
redis.call('TIME')
redis.call('LLEN', scratch)
redis.call('LINDEX', scratch, 0)
redis.call('LRANGE', scratch, 0, 0)
redis.call('GET', scratch)
redis.call('GETRANGE', scratch, 0, 0)
redis.call('HGET', scratch, 'field')
redis.call('HMGET', scratch, 'field')
redis.call('HSTRLEN', scratch, 'field')
-- Redis checks its memory only before a script's first write, and only for commands that need memory, so SET comes first. The
-- commands that delete come before those that create, so that the script can certainly clean up.
redis.call('SET', scratch, '', 'XX')
local journal = redis.pcall('XADD', scratch, '0-0', 'field', '')
redis.call('LTRIM', scratch, 1, 0)
redis.call('LREM', scratch, 1, '')
redis.call('PEXPIRE', scratch, 0)
-- The service's own lists are always pushed to the left.
redis.call('LPUSH', scratch, '')
redis.call('LTRIM', scratch, 1, 0)
redis.call(push, scratch, '')
redis.call('LTRIM', scratch, 1, 0)
redis.call('HSET', scratch, 'field', '')
if KEYS[6] then
  redis.call('HDEL', scratch, '')
  redis.call('HLEN', scratch)
end
redis.call('PEXPIRE', scratch, 0)
return { 'ok', type(journal) == 'table' and journal.err or '' }
