-- What all scripts share; `mod.rs` tells the whole. A level is a priority: 1 high, 2 normal, 3 low.
-- KEYS: 1-3 the streams, 4-6 the lines, 7 the traces, 8 the passes. ARGV[1]: the consumer group.
local LEVELS, TRACES, PASSES, GROUP = 3, KEYS[7], KEYS[8], ARGV[1]

-- All times are in microseconds: a coarser unit would round what is due now into the future, and a waiting reader would wait for it.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- The time by which a signal has its place in line: the end of its wait by this server's clock; without a wait its own due, which another clock may see in our future.
local function place(due, wait)
    wait = tonumber(wait)
    if wait > 0 then return now + wait end
    return math.min(tonumber(due), now)
end

-- {'a', 1, 'b', 2} as {a = 1, b = 2}
local function named(list)
    local fields = {}
    for i = 1, #list - 1, 2 do fields[list[i]] = list[i + 1] end
    return fields
end

-- The last entry that the group was given. Makes the group where it is missing: a Redis that was emptied heals with the first script.
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

-- The entry that the next reader of a stream gets: its id and its fields, or nothing.
local function on_offer(level)
    local entry = redis.call('XRANGE', KEYS[level], '(' .. last_given(level), '+', 'COUNT', 1)[1]
    if entry then return entry[1], named(entry[2]) end
end

local function is_signal(fields)
    local due = tonumber(fields.due)
    -- Only a number equals itself: `nan` is read as one, and would be no place in line.
    return fields.scan and fields.trace and due and due == due
end

-- Takes an entry that nobody was given out of its stream and back into the line.
local function withdraw(level, id, signal)
    redis.call('XDEL', KEYS[level], id)
    redis.call('ZADD', KEYS[LEVELS + level], signal.due, signal.scan)
    redis.call('HSET', TRACES, signal.scan, signal.trace)
end

-- Sees to it that a stream offers the first signal of its line that is due. At most one is on offer, so that an earlier one can still go before it.
local function offer(level)
    local line = KEYS[LEVELS + level]
    local first = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
    local scan, due = first[1], tonumber(first[2])
    if not scan or due > now then return end
    local id, offered = on_offer(level)
    if id then
        -- What is no signal stays in front: its reader removes it.
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

-- Puts a signal in line. A scan waits once, with the higher of its priorities and the earlier of its times; what a reader was given does not wait any more.
local function enqueue(scan, level, due, trace)
    due = tonumber(due)
    for other = 1, LEVELS do
        local id, offered = on_offer(other)
        if id and offered.scan == scan and is_signal(offered) then
            -- It is due already, so only a higher priority changes anything.
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

-- Ends a delivery; what it was a delivery of, if it was still one.
local function take_back(level, id)
    local entry = redis.call('XRANGE', KEYS[level], id, id)[1]
    local given = redis.call('XACK', KEYS[level], GROUP, id)
    if given == 0 then return nil end
    redis.call('XDEL', KEYS[level], id)
    local fields = entry and named(entry[2])
    if fields and is_signal(fields) then return fields end
end

-- The levels whose streams offer something, and `also`.
local function ready_levels(also)
    local ready = {}
    for level = 1, LEVELS do
        if level == also or on_offer(level) then ready[#ready + 1] = level end
    end
    return ready
end

-- `policy::fairness::pick`: the first, unless some were passed by too often; then the lowest of those. Tests hold the two against each other.
local function pick(ready, max_passes)
    local chosen = ready[1]
    for _, level in ipairs(ready) do
        if tonumber(redis.call('HGET', PASSES, level) or 0) >= max_passes then chosen = level end
    end
    return chosen
end

-- The passes after `chosen` was delivered while `ready` were.
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

-- In how many microseconds the next signal becomes due; -1 if none will.
local function next_due()
    local wait = -1
    for level = 1, LEVELS do
        local first = redis.call('ZRANGEBYSCORE', KEYS[LEVELS + level], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
        local left = first[2] and tonumber(first[2]) - now
        if left and (wait < 0 or left < wait) then wait = left end
    end
    return wait
end
