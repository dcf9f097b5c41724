-- ARGV: group, level, id.
redis.call('XACK', KEYS[tonumber(ARGV[2])], GROUP, ARGV[3])
redis.call('XDEL', KEYS[tonumber(ARGV[2])], ARGV[3])
return next_due()
