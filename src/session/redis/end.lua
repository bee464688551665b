-- Ends the session at KEYS[1] if it has not ended and, with ARGV[1] = '1', its subject is ARGV[2].
-- ARGV: 3 now, 4 reason, 5 the time since which ends are returned, 6 the session that takes its place, or an
-- empty text.
-- Returns the subject and the time of the end if the session has just ended, has ended since that time, or
-- was ended for that session; otherwise nothing.
local key = KEYS[1]
-- Deletes nothing, but fails on a server that cannot be written to: the data of a replica may be old.
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
