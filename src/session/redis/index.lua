-- Enters the session ARGV[1] last into the index of its subject at KEYS[1], if it is not there,
-- and keeps the index for ARGV[2] milliseconds at least. Tells the entries up to the ARGV[3]th.
local key = KEYS[1]
local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
local place = (tonumber(last[2]) or 0) + 1
redis.call('ZADD', key, 'NX', string.format('%.0f', place), ARGV[1])
if redis.call('PTTL', key) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', key, ARGV[2])
end
return redis.call('ZRANGE', key, 0, ARGV[3])
