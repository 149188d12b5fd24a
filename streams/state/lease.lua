-- One owner at a time, and what it keeps: take, keep, release.
--
-- KEYS[1]  the owner's token; lapses by itself
-- KEYS[2]  what the owner keeps
-- ARGV[1]  take (also: renew), keep or release
-- ARGV[2]  the token of who asks
-- ARGV[3]  how long the lease lasts from now, ms
-- ARGV[4]  what to keep
--
-- Returns 1, or 0 with nothing written where another owns it.
local owner = redis.call('GET', KEYS[1])
local what, token = ARGV[1], ARGV[2]
if what == 'take' then
  if owner and owner ~= token then return 0 end
  redis.call('SET', KEYS[1], token, 'PX', ARGV[3])
  return 1
end
if owner ~= token then return 0 end
if what == 'keep' then
  redis.call('SET', KEYS[2], ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
elseif what == 'release' then
  redis.call('DEL', KEYS[1])
end
return 1
