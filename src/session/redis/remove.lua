-- Removes the session at KEYS[1] if it ended, or could no longer be used, before ARGV[1].
-- Tells 'removed' and whose it was, 'gone', or 'kept' and when to look again.
local key = KEYS[1]
local row = redis.call('HMGET', key, 'sub', 'used', 'idle', 'exp', 'ended')
if not row[1] then
  return {'gone', ''}
end
local before, due = tonumber(ARGV[1]), nil
if row[5] then
  due = tonumber(row[5]) + 1
else
  due = math.min(tonumber(row[4]), tonumber(row[2]) + tonumber(row[3]))
end
if due <= before then
  redis.call('DEL', key)
  return {'removed', row[1]}
end
return {'kept', string.format('%.0f', due)}
