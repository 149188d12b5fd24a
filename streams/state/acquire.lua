-- Takes a partition: writes the new token, returns its head and what waits in its outbox.
--
-- KEYS[1]  rk:{p}:m  hash: token, o, crc, now, positions, settings, v
-- KEYS[2]  rk:{p}:q  stream: outbox
-- ARGV[1]  the new token
-- ARGV[2]  the newest format version the caller reads
-- ARGV[3]  optional: the token that must still stand (or the new one, after a lost reply)
--
-- Returns {'OK', {o, crc, now, positions, settings, v}, entries}, or, with nothing written,
-- {'FENCED'} or {'NEWER', v}.
local at = redis.call('HMGET', KEYS[1], 'token', 'v')
if ARGV[3] and at[1] ~= ARGV[3] and at[1] ~= ARGV[1] then return {'FENCED'} end
if at[2] and tonumber(at[2]) > tonumber(ARGV[2]) then return {'NEWER', at[2]} end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return {
  'OK',
  redis.call('HMGET', KEYS[1], 'o', 'crc', 'now', 'positions', 'settings', 'v'),
  redis.call('XRANGE', KEYS[2], '-', '+'),
}
