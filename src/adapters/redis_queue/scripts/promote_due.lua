-- ARGV: group, consumer, idle time. Requeues signals whose readers have not acknowledged them for
-- the idle time, and offers due signals. Returns the time until the next due signal, and the number
-- of requeued signals.
local reclaimed = 0
for level = 1, LEVELS do
    last_given(level)
    -- With JUSTID the response also names deleted entries, on every version.
    local claimed = redis.call('XAUTOCLAIM', KEYS[level], GROUP, ARGV[2], ARGV[3], '0-0', 'COUNT', 100, 'JUSTID')[2]
    for _, id in ipairs(claimed) do
        local signal = take_back(level, id)
        if signal then
            enqueue(signal.scan, level, signal.due, signal.trace)
            reclaimed = reclaimed + 1
        end
    end
end
offer_all()
return { next_due(), reclaimed }
