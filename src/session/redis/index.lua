-- Enters the session ARGV[1] last into the index of its subject at KEYS[1], and keeps the index for at least
-- ARGV[2] milliseconds. With ARGV[3] = 'used', an entry that is there already moves to the end; with 'new' it
-- stays.
-- Returns at most ARGV[5] of the sessions before it, with their places: with ARGV[4] = 'newest' those that
-- were entered last, otherwise those that were entered first.
local key = KEYS[1]
local place = redis.call('ZSCORE', key, ARGV[1])
local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
if not place or (ARGV[3] == 'used' and last[1] ~= ARGV[1]) then
  place = string.format('%.0f', (tonumber(last[2]) or 0) + 1)
  redis.call('ZADD', key, place, ARGV[1])
end
if redis.call('PTTL', key) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', key, ARGV[2])
end
local before = '(' .. place
if ARGV[4] == 'newest' then
  return redis.call('ZREVRANGEBYSCORE', key, before, '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[5])
end
return redis.call('ZRANGEBYSCORE', key, '-inf', before, 'WITHSCORES', 'LIMIT', 0, ARGV[5])
