-- Changes a key and deletes it, so that a WATCH on it fails.
-- KEYS  1 key (string, or missing)
-- Returns 'ok'. Bound: one key.
local key = KEYS[1]

redis.call('SET', key, '')
redis.call('PEXPIRE', key, 0)
return 'ok'
