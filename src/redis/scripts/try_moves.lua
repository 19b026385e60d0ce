-- Tries what the other scripts call, so that a refusal is known before a message depends on it. Leaves nothing behind.
-- KEYS  1 dlq (list)  2 target (list)  3 dead (list)  4 state (hash)  5 scratch (is there at no instant that others see)
-- Returns 'ok', or fails as the others would: Redis asks the ACL for every key above before it runs this, and for each
-- command when it is called; out-of-memory, read-only and the like show at the first write. Bound: some twenty small calls.
local scratch = KEYS[5]

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
-- Redis asks whether memory is left only before a script's first write, and not for what needs none, so SET leads. What takes
-- away comes before what puts there: that goes again for certain.
redis.call('SET', scratch, '', 'XX')
redis.call('LTRIM', scratch, 1, 0)
redis.call('LREM', scratch, 1, '')
redis.call('PEXPIRE', scratch, 0)
redis.call('LPUSH', scratch, '')
redis.call('LTRIM', scratch, 1, 0)
redis.call('HSET', scratch, 'field', '')
redis.call('PEXPIRE', scratch, 0)
return 'ok'
