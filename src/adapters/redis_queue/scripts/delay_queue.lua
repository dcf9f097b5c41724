-- Functions that all scripts share; `mod.rs` describes the design. A level is a priority: 1 high, 2
-- normal, 3 low.
-- KEYS: 1-3 the streams, 4-6 the delay queues, 7 the traces, 8 the passes. ARGV[1]: the consumer
-- group.
local LEVELS, TRACES, PASSES, GROUP = 3, KEYS[7], KEYS[8], ARGV[1]

-- All times are in microseconds. A coarser unit would round the time of a due signal up into the
-- future, and a waiting reader would wait for it.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- The score of a signal in the delay queue. With a wait it is the end of the wait by this server's
-- clock. Without a wait it is the signal's due time, at most `now`, because the sender's clock may
-- be ahead.
local function place(due, wait)
    wait = tonumber(wait)
    if wait > 0 then return now + wait end
    return math.min(tonumber(due), now)
end

-- Converts {'a', 1, 'b', 2} to {a = 1, b = 2}.
local function named(list)
    local fields = {}
    for i = 1, #list - 1, 2 do fields[list[i]] = list[i + 1] end
    return fields
end

-- The last entry delivered to the group. Creates the group if it is missing, so that the first
-- script repairs an emptied Redis.
local function last_given(level)
    if redis.call('EXISTS', KEYS[level]) == 1 then
        for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[level])) do
            local fields = named(group)
            if fields.name == GROUP then return fields['last-delivered-id'] end
        end
    end
    redis.call('XGROUP', 'CREATE', KEYS[level], GROUP, '0', 'MKSTREAM')
    return '0-0'
end

-- The entry that the next reader of a stream receives: its id and its fields, or nothing.
local function on_offer(level)
    local entry = redis.call('XRANGE', KEYS[level], '(' .. last_given(level), '+', 'COUNT', 1)[1]
    if entry then return entry[1], named(entry[2]) end
end

local function is_signal(fields)
    local due = tonumber(fields.due)
    -- Only a number equals itself: `nan` parses as a number, but is not a valid score.
    return fields.scan and fields.trace and due and due == due
end

-- Moves an undelivered entry from its stream back to the delay queue.
local function withdraw(level, id, signal)
    redis.call('XDEL', KEYS[level], id)
    redis.call('ZADD', KEYS[LEVELS + level], signal.due, signal.scan)
    redis.call('HSET', TRACES, signal.scan, signal.trace)
end

-- Makes a stream offer the first due signal of its delay queue. At most one signal is offered, so
-- that an earlier one can still go before it.
local function offer(level)
    local line = KEYS[LEVELS + level]
    local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
    local scan, due = first[1], tonumber(first[2])
    if not scan or due > now then return end
    local id, offered = on_offer(level)
    if id then
        -- An entry that is not a signal stays in front; its reader removes it.
        if not is_signal(offered) then return end
        local offered_due = tonumber(offered.due)
        if offered_due < due or (offered_due == due and offered.scan <= scan) then return end
        withdraw(level, id, offered)
    end
    redis.call('ZREM', line, scan)
    local trace = redis.call('HGET', TRACES, scan)
    redis.call('HDEL', TRACES, scan)
    redis.call('XADD', KEYS[level], '*', 'scan', scan, 'due', string.format('%.0f', due), 'trace', trace or '')
end

local function offer_all()
    for level = 1, LEVELS do offer(level) end
end

-- Adds a signal to a delay queue. A scan waits once, with the higher of its priorities and the
-- earlier of its times. A delivered signal no longer counts as waiting.
local function enqueue(scan, level, due, trace)
    due = tonumber(due)
    for other = 1, LEVELS do
        local id, offered = on_offer(other)
        if id and offered.scan == scan and is_signal(offered) then
            -- The offered signal is already due, so only a higher priority or an earlier time
            -- changes it.
            if other <= level and tonumber(offered.due) <= due then return end
            withdraw(other, id, offered)
        end
        local known = tonumber(redis.call('ZSCORE', KEYS[LEVELS + other], scan))
        if known then
            if other <= level and known <= due then return end
            redis.call('ZREM', KEYS[LEVELS + other], scan)
            level, due = math.min(level, other), math.min(due, known)
        end
    end
    redis.call('ZADD', KEYS[LEVELS + level], string.format('%.0f', due), scan)
    redis.call('HSETNX', TRACES, scan, trace)
end

-- Ends a delivery. Returns its signal if the entry was still pending.
local function take_back(level, id)
    local entry = redis.call('XRANGE', KEYS[level], id, id)[1]
    local given = redis.call('XACK', KEYS[level], GROUP, id)
    if given == 0 then return nil end
    redis.call('XDEL', KEYS[level], id)
    local fields = entry and named(entry[2])
    if fields and is_signal(fields) then return fields end
end

-- The levels whose streams offer a signal, and `also`.
local function ready_levels(also)
    local ready = {}
    for level = 1, LEVELS do
        if level == also or on_offer(level) then ready[#ready + 1] = level end
    end
    return ready
end

-- `policy::fairness::pick`: the first level, unless some were passed over too often; then the
-- lowest of those. Tests compare the two.
local function pick(ready, max_passes)
    local chosen = ready[1]
    for _, level in ipairs(ready) do
        if tonumber(redis.call('HGET', PASSES, level) or 0) >= max_passes then chosen = level end
    end
    return chosen
end

-- Updates the passes after a delivery from `chosen` while the `ready` levels had signals.
local function count_passes(ready, chosen)
    local waits = {}
    for _, level in ipairs(ready) do waits[level] = true end
    for level = 1, LEVELS do
        if level == chosen or not waits[level] then
            redis.call('HDEL', PASSES, level)
        elseif level > chosen then
            redis.call('HINCRBY', PASSES, level, 1)
        end
    end
end

-- The time until the next signal becomes due, in microseconds; -1 if no signal will.
local function next_due()
    local wait = -1
    for level = 1, LEVELS do
        local first = redis.call('ZRANGEBYSCORE', KEYS[LEVELS + level], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
        local left = first[2] and tonumber(first[2]) - now
        if left and (wait < 0 or left < wait) then wait = left end
    end
    return wait
end
