-- Numbers have 64 bits, of which a double holds 53: so a number is split into its billions and the rest.
local BILLION = 1000000000
local MAX_COUNT = 4294967295

local function number(text)
  if type(text) ~= 'string' or not string.match(text, '^%d+$') then
    error('a session has a field that is not a number')
  end
  return {tonumber(string.sub(text, 1, -10)) or 0, tonumber(string.sub(text, -9))}
end

local function less(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local function add(a, b)
  local rest = a[2] + b[2]
  local carry = rest >= BILLION and 1 or 0
  return {a[1] + b[1] + carry, rest - carry * BILLION}
end

local function min(a, b)
  return less(a, b) and a or b
end

local function text(a)
  if a[1] == 0 then
    return string.format('%.0f', a[2])
  end
  return string.format('%.0f%09.0f', a[1], a[2])
end

-- Counts have 32 bits, which a double holds.
local function count(text)
  local n = number(text)
  return n[1] * BILLION + n[2]
end

local function increased(count)
  return math.min(count + 1, MAX_COUNT)
end

local function digits(count)
  return string.format('%.0f', count)
end

