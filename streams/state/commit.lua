-- Applies one step of a partition, all of it or nothing.
--
-- KEYS[1]     rk:{p}:m  hash: head
-- KEYS[2]     rk:{p}:w  sorted set: wake-ups
-- KEYS[3]     rk:{p}:q  stream: outbox
-- KEYS[4..]   rk:{p}:u:<user>, rk:{p}:a:<user>: nset keys to write, then ndel keys to take away
-- ARGV[1]     our token
-- ARGV[2]     o, the offset we started from
-- ARGV[3..8]  what the head becomes: o, crc, now, positions, settings, v
-- ARGV[9]     outbox: the first id to keep, '' = trim nothing
-- ARGV[10..14] nq, nset, ndel, nadd, nrem: how many of each follow
-- ARGV[15]    1 = this may be the first commit of the partition: only then o may be missing
-- ARGV[16..]  nq times id, topic, key, value; nset values; nadd times score, user; nrem users
--
-- Returns the earliest wake-up there is then, {user, score} or {}, or, with nothing written,
-- 'FENCED' (another token) or 'STALE' (another offset, or the outbox is past the first id). Offsets
-- and ids stay strings: as numbers of Lua they would be rounded above 2^53. Lua is not rolled back,
-- hence the order: checks, then the first XADD, which is a check as well (the server refuses an id
-- at or below the last it ever gave, trimmed or not; the later ids are larger, the caller saw to
-- it), then what cannot fail.
local meta, wakes, outbox = KEYS[1], KEYS[2], KEYS[3]
local at = redis.call('HMGET', meta, 'token', 'o')
if at[1] ~= ARGV[1] then return 'FENCED' end
if at[2] and at[2] ~= ARGV[2] then return 'STALE' end
-- A Redis that fell back to between our token and our first commit: all before ARGV[2] is gone.
if not at[2] and ARGV[15] ~= '1' then return 'STALE' end

local nq, nset, ndel = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local nadd, nrem = tonumber(ARGV[13]), tonumber(ARGV[14])
local a, k = 15, 3

for i = 1, nq do
  local id, topic, key, value = unpack(ARGV, a + 1, a + 4)
  local added = redis.pcall('XADD', outbox, id, 'topic', topic, 'key', key, 'value', value)
  if type(added) == 'table' and added.err then
    if i == 1 and string.find(added.err, 'equal or smaller', 1, true) then return 'STALE' end
    return added
  end
  a = a + 4
end
if ARGV[9] ~= '' then redis.call('XTRIM', outbox, 'MINID', '=', ARGV[9]) end

-- unpack() takes no more than 8,000 values on any server: 6,000 at a time
for first = 1, nset, 3000 do
  local written, n = {}, 0
  for i = first, math.min(first + 2999, nset) do
    written[n + 1], written[n + 2] = KEYS[k + i], ARGV[a + i]
    n = n + 2
  end
  redis.call('MSET', unpack(written, 1, n))
end
a, k = a + nset, k + nset
for first = 1, ndel, 6000 do
  redis.call('DEL', unpack(KEYS, k + first, k + math.min(first + 5999, ndel)))
end
for first = 1, 2 * nadd, 6000 do
  redis.call('ZADD', wakes, unpack(ARGV, a + first, a + math.min(first + 5999, 2 * nadd)))
end
a = a + 2 * nadd
for first = 1, nrem, 6000 do
  redis.call('ZREM', wakes, unpack(ARGV, a + first, a + math.min(first + 5999, nrem)))
end

redis.call('HSET', meta, 'o', ARGV[3], 'crc', ARGV[4], 'now', ARGV[5],
  'positions', ARGV[6], 'settings', ARGV[7], 'v', ARGV[8])
return redis.call('ZRANGE', wakes, 0, 0, 'WITHSCORES')
