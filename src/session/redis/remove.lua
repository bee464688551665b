-- Removes the session at KEYS[1] if it ended, or could no longer be used, before ARGV[1].
-- Returns 'removed' and the subject, 'gone', or 'kept' and the time of the next check.
local key = KEYS[1]
local row = redis.call('HMGET', key, 'sub', 'used', 'idle', 'exp', 'ended')
if not row[1] then
  return {'gone', ''}
end
local due
if row[5] then
  due = add(number(row[5]), {0, 1})
else
  due = min(number(row[4]), add(number(row[2]), number(row[3])))
end
if less(number(ARGV[1]), due) then
  return {'kept', text(due)}
end
redis.call('DEL', key)
return {'removed', row[1]}
