-- Rotation::apply on the session at KEYS[1], which it returns.
-- ARGV: 1 to 3 the token's generation, the one before, the one after; 4 token id, 5 now,
-- 6 grace, 7 lost response
local key = KEYS[1]
if redis.call('EXISTS', key) == 0 then
  return {}
end
local row = redis.call('HMGET', key, 'gen', 'ack', 'rotated', 'used', 'idle', 'exp', 'ended')
local gen, rotated, used = row[1], number(row[3]), number(row[4])
local idle, exp, now = number(row[5]), number(row[6]), number(ARGV[5])
local older = less(number(ARGV[1]), number(gen))
if not row[7] and less(now, exp) and less(now, add(used, idle)) then
  if gen == ARGV[1] or gen == ARGV[2] then
    redis.call('HSET', key, 'prev', gen, 'gen', ARGV[3], 'tid', ARGV[4], 'ack', '0',
      'rotated', ARGV[5], 'used', ARGV[5])
  elseif gen == ARGV[3] and row[2] == '0' and not less(add(rotated, number(ARGV[7])), now) then
    redis.call('HSET', key, 'used', ARGV[5])
  elseif gen == ARGV[3] and not less(add(used, number(ARGV[6])), now) then
    -- A concurrent request changes nothing.
  elseif older then
    redis.call('HSET', key, 'ended', ARGV[5], 'reason', 'reuse_detected')
  end
end
return redis.call('HGETALL', key)
