-- Changes a key and leaves nothing of it, so that whoever watches it sees the change.
-- KEYS  1 key (string, or not there)
-- Returns 'ok'. Bound: one key.
local key = KEYS[1]

redis.call('SET', key, '')
redis.call('PEXPIRE', key, 0)
return 'ok'
