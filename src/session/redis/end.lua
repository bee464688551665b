-- Ends the session at KEYS[1] if it is live and, with ARGV[1] = '1', whose subject is ARGV[2].
-- ARGV: 3 now, 4 reason. Tells whose it was.
local key = KEYS[1]
local row = redis.call('HMGET', key, 'sub', 'used', 'idle', 'exp', 'ended')
if not row[1] or row[5] or (ARGV[1] == '1' and ARGV[2] ~= row[1]) then
  return false
end
local now = number(ARGV[3])
if not less(now, number(row[4])) or not less(now, add(number(row[2]), number(row[3]))) then
  return false
end
redis.call('HSET', key, 'ended', ARGV[3], 'reason', ARGV[4])
return row[1]
