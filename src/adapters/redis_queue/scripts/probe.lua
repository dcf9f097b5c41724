-- KEYS: a sorted set, a hash and a stream of its own. ARGV: any value. Runs the commands of a
-- signal, which need the same rights, and leaves only a few empty keys.
redis.call('ZADD', KEYS[1], 1, ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HSETNX', KEYS[2], 'probe', ARGV[1])
redis.call('HDEL', KEYS[2], 'probe')
local id = redis.call('XADD', KEYS[3], '*', 'probe', ARGV[1])
redis.call('XDEL', KEYS[3], id)
return 1
