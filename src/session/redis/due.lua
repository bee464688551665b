-- Enters the session ARGV[1] into the index of ends at KEYS[1], to be checked in second ARGV[2].
-- Drops entries from ARGV[3] seconds ago. They are measured by the clock of the server, so that one client
-- with a wrong clock drops nothing.
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local oldest = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', oldest))
return 1
