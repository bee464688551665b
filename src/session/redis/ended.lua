-- Moves sessions from the index of a subject at KEYS[1] to that of its ended sessions at KEYS[2].
-- ARGV: 1 for how many seconds they stay there; then each session and the second of its end. The
-- clock of the server decides what is old, so that one client with a wrong clock drops nothing.
for at = 2, #ARGV, 2 do
  redis.call('ZREM', KEYS[1], ARGV[at])
  redis.call('ZADD', KEYS[2], ARGV[at + 1], ARGV[at])
end
local oldest = tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', oldest))
redis.call('EXPIRE', KEYS[2], ARGV[1])
return 1
