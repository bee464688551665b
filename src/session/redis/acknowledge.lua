-- Marks generation ARGV[1] of the session at KEYS[1] as seen in use, if it is the current one.
-- Unless the session has ended, returns its subject, the time until which it can be used, and for how
-- many milliseconds it is kept.
local key = KEYS[1]
-- Deletes nothing, but fails on a server that cannot be written to, so that no acknowledgement is lost.
redis.call('HDEL', key, '')
local row = redis.call('HMGET', key, 'gen', 'sub', 'used', 'idle', 'exp', 'ended')
if row[1] == ARGV[1] then
  redis.call('HSET', key, 'ack', ARGV[1])
end
if not row[2] or row[6] then
  return {}
end
local due = min(number(row[5]), add(number(row[3]), number(row[4])))
return {row[2], text(due), text({0, math.max(redis.call('PTTL', key), 0)})}
