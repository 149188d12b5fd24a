-- Claims the hand-over of one action and notes it as begun.
--
-- KEYS[1]  rk:{p}:c:<action_id>  string: the claim
-- KEYS[2]  rk:{p}:h:<channel>    hash: hand-overs begun and not answered
-- ARGV[1]  how long the claim is kept, ms
-- ARGV[2]  the action id
-- ARGV[3]  the action
--
-- Returns 1, or 0 with nothing written if it was claimed before.
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
