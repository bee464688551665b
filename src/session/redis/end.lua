-- Ends the session at KEYS[1] if it has not ended and, with ARGV[1] = '1', its subject is ARGV[2].
-- ARGV: 3 now, 4 reason, 5 since when ends are told, 6 the session that takes its place, if one
-- does. Tells whose it is and when it ended, if it has just ended, or since then, or for that one.
local key = KEYS[1]
-- Deletes nothing, and fails where nothing can be written: what a replica knows may be old.
redis.call('HDEL', key, '')
local row = redis.call('HMGET', key, 'sub', 'ended')
local subject, ended = row[1], row[2]
if not subject or (ARGV[1] == '1' and ARGV[2] ~= subject) then
  return {}
end
if not ended then
  redis.call('HSET', key, 'ended', ARGV[3], 'reason', ARGV[4])
  if ARGV[6] ~= '' then
    redis.call('HSET', key, 'for', ARGV[6])
  end
  return {subject, ARGV[3]}
end
local again = ARGV[6] ~= '' and redis.call('HGET', key, 'for') == ARGV[6]
if not again and less(number(ended), number(ARGV[5])) then
  return {}
end
return {subject, ended}
