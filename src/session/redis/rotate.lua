-- Rotation::apply on the session at KEYS[1]. Numbers are at most 2^53, so that a double holds
-- them exactly; none is ever turned into text here.
-- ARGV: 1 the token's generation, 2 that plus one, 3 token id, 4 now, 5 grace, 6 lost response
local key = KEYS[1]
if redis.call('EXISTS', key) == 0 then
  return {}
end
local row = redis.call('HMGET', key, 'gen', 'ack', 'rotated', 'used', 'idle', 'exp', 'ended')
local gen, rotated, used = tonumber(row[1]), tonumber(row[3]), tonumber(row[4])
local idle, exp = tonumber(row[5]), tonumber(row[6])
local now = tonumber(ARGV[4])
if not row[7] and now < exp and now - used < idle then
  local ahead = tonumber(ARGV[1]) - gen
  local age = math.max(now - rotated, 0)
  if ahead == 0 or ahead == 1 then
    redis.call('HSET', key, 'prev', row[1], 'gen', ARGV[2], 'tid', ARGV[3], 'ack', '0',
      'rotated', ARGV[4], 'used', ARGV[4])
  elseif ahead == -1 and (age <= tonumber(ARGV[5])
      or (row[2] == '0' and age <= tonumber(ARGV[6]))) then
    redis.call('HSET', key, 'used', ARGV[4])
  elseif ahead < 0 then
    redis.call('HSET', key, 'ended', ARGV[4], 'reason', 'reuse_detected')
  end
end
return redis.call('HGETALL', key)
