-- Records a revocation at KEYS[1], and publishes it to every node. If there is an entry already, the later
-- cut-off and the later end count. Cut-offs are compared as text, because a double cannot represent all of
-- them.
-- ARGV: 1 cut-off, 2 milliseconds to keep it, 3 channel, 4 message
local key = KEYS[1]
local cutoff, keep = ARGV[1], tonumber(ARGV[2])
local known = redis.call('GET', key)
if known and (#known > #cutoff or (#known == #cutoff and known > cutoff)) then
  cutoff = known
end
keep = math.max(keep, redis.call('PTTL', key))
redis.call('SET', key, cutoff, 'PX', string.format('%.0f', keep))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
