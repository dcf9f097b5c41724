-- ARGV: group, consumer, idle time. Puts signals back in line whose readers have not answered for so long, and offers what has become due: when to look again, and how many were put back.
local reclaimed = 0
for level = 1, LEVELS do
    last_given(level)
    -- With JUSTID the answer names entries that are gone as well, on every version.
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
