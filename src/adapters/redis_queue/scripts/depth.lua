-- ARGV: group. Returns the time until the next due signal, and the number of signals that wait, are
-- offered or are pending.
local depth = 0
for level = 1, LEVELS do
    depth = depth + redis.call('XLEN', KEYS[level]) + redis.call('ZCARD', KEYS[LEVELS + level])
end
return { next_due(), depth }
