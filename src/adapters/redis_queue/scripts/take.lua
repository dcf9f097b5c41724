-- ARGV: group, consumer, maximum passes. Delivers the next due signal to the consumer. Returns the
-- time until the next due signal, and then, if there is a signal, its level and its entry.
offer_all()
local ready = ready_levels()
if #ready == 0 then return { next_due() } end
local level = pick(ready, tonumber(ARGV[3]))
count_passes(ready, level)
local entry = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[level], '>')[1][2][1]
offer(level)
return { next_due(), level, entry }
