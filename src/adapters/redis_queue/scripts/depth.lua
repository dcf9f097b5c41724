-- ARGV: group. When to look again, and how many signals wait, are on offer or are in readers' hands.
local depth = 0
for level = 1, LEVELS do
    depth = depth + redis.call('XLEN', KEYS[level]) + redis.call('ZCARD', KEYS[LEVELS + level])
end
return { next_due(), depth }
