-- Counts one request of a client with the generic cell rate algorithm. The key holds the time at which the
-- client will have earned all requests that it has made, in microseconds by the clock of Redis.
-- Returns how many microseconds the client has to wait, or 0 if the request may pass.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = now + interval * burst
-- More than a full bucket was written by a clock that was ahead.
local before = math.min(tonumber(redis.call('GET', KEYS[1]) or 0), full)
local earned = math.max(before, now) + interval
local wait = earned - full
if wait > 0 then
    return math.ceil(wait)
end
local keep = math.ceil((earned - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', earned), 'PX', keep)
return 0
