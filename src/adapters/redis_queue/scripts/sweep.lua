-- ARGV: group, idle time. Deletes consumers that have no pending entries and were idle for longer.
-- Each start of a node creates a new consumer.
for level = 1, LEVELS do
    last_given(level)
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[level], GROUP)) do
        local fields = named(consumer)
        if fields.pending == 0 and fields.idle > tonumber(ARGV[2]) then
            redis.call('XGROUP', 'DELCONSUMER', KEYS[level], GROUP, fields.name)
        end
    end
end
return next_due()
