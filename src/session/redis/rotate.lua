-- Carries out Rotation::apply on the session at KEYS[1], and returns the session.
-- ARGV: 1 to 3 the token's generation, the one before, the one after; 4 token id, 5 now,
-- 6 grace, 7 lost response, 8 lost responses in a row that end it, 9 client, if there is a mark
local key = KEYS[1]
-- Deletes nothing, but fails on a server that cannot be written to: the data of a replica may be old.
redis.call('HDEL', key, '')
if redis.call('EXISTS', key) == 0 then
  return {}
end
local row = redis.call('HMGET', key, 'gen', 'rotated', 'used', 'idle', 'exp', 'conv', 'run',
  'lost', 'ack', 'client', 'ended')
local gen, rotated, used, idle, exp = row[1], number(row[2]), number(row[3]), number(row[4]),
  number(row[5])
local conv, run, lost = count(row[6]), count(row[7]), count(row[8])
local acknowledged, client, ended = row[9], row[10], row[11]
local token, now, grace = number(ARGV[1]), number(ARGV[5]), number(ARGV[6])
-- 0: not converged, 1: as concurrent, 2: as a lost response
local CONCURRENT, LOST_RESPONSE = 1, 2

local function within(span, start)
  return not less(add(start, span), now)
end

local function advance()
  if conv == 0 then
    run = 0
  end
  if conv < LOST_RESPONSE then
    lost = 0
  end
  redis.call('HSET', key, 'prev', gen, 'gen', ARGV[3], 'tid', ARGV[4], 'rotated', ARGV[5],
    'used', ARGV[5], 'conv', '0', 'run', digits(run), 'lost', digits(lost))
  if ARGV[9] then
    redis.call('HSET', key, 'client', ARGV[9])
  else
    redis.call('HDEL', key, 'client')
  end
end

local function lost_with()
  return conv < LOST_RESPONSE and increased(lost) or lost
end

local function converge(kind)
  if kind == LOST_RESPONSE then
    lost = lost_with()
  end
  if conv == 0 then
    run = increased(run)
  end
  redis.call('HSET', key, 'conv', digits(math.max(conv, kind)), 'run', digits(run),
    'lost', digits(lost))
  if acknowledged ~= gen and less(used, now) then
    redis.call('HSET', key, 'used', ARGV[5])
  end
end

local function reuse()
  redis.call('HSET', key, 'ended', ARGV[5], 'reason', 'reuse_detected')
end

local function previous()
  if client and client ~= ARGV[9] then
    return reuse()
  end
  if within(grace, rotated) then
    return converge(CONCURRENT)
  end
  if acknowledged ~= gen and (acknowledged or within(number(ARGV[7]), rotated)) then
    if lost_with() < count(ARGV[8]) then
      return converge(LOST_RESPONSE)
    end
    return reuse()
  end
  if within(grace, used) then
    return converge(CONCURRENT)
  end
  reuse()
end

if not ended and less(now, exp) and less(now, add(used, idle)) then
  if gen == ARGV[1] or gen == ARGV[2] then
    advance()
  elseif gen == ARGV[3] then
    previous()
  elseif less(token, number(gen)) and not less(now, rotated) then
    reuse()
  end
end
return redis.call('HGETALL', key)
