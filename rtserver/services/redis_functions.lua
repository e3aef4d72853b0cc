#!lua name=@NAME@
-- What must be one step in Redis. Loaded by every node when it connects; @...@ are filled in by redis_library.py.
--
-- Keys, all beginning with the prefix:
--   .stream.<channel>            STREAM  the publications; entry id <offset>-0, fields d (data) and m (meta JSON, if any)
--   .stream.meta.<channel>       HASH    e epoch, s top offset, v and ve version and its epoch
--   .result.<channel>.<key>      STRING  "<offset>:<epoch>" of a publish with an idempotency key
--   .presence.data.<channel>     HASH    client -> info JSON
--   .presence.expire.<channel>   ZSET    client -> time of expiry in ms
--   .options                     HASH    namespace -> options JSON; ":shards" -> number of Redis servers
--   .lease.<name>                STRING  holder
-- Pub/sub: .client.<channel> carries messages of the form described in redis_envelope.py.

local PREFIX = "@PREFIX@"
local VERSION = "@VERSION@"
local IDEMPOTENCY_TTL = 300000
local LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

local EVEN_WHEN_FULL = {"allow-oom"}

-- A function for our own nodes. What it is about is its first argument and no declared key, so that a user of Redis who may
-- only touch keys below the prefix may call it.
local function inner(name, flags, callback)
  redis.register_function{
    function_name = "@NAME@_" .. name,
    flags = flags,
    callback = function(_, args)
      return callback(table.remove(args, 1), args)
    end,
  }
end

local function stream_key(channel) return PREFIX .. ".stream." .. channel end
local function meta_key(channel) return PREFIX .. ".stream.meta." .. channel end
local function client_channel(channel) return PREFIX .. ".client." .. channel end

local function now_ms()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A new epoch: time and channel, mixed. It must differ from the channel's earlier ones, not be a secret.
local function new_epoch(channel)
  local time = redis.call("TIME")
  local digest = redis.sha1hex(PREFIX .. channel .. ":" .. time[1] .. "." .. time[2])
  local letters = {}
  for i = 1, 8 do
    local place = tonumber(string.sub(digest, 4 * i - 3, 4 * i), 16) % 52 + 1
    letters[i] = string.sub(LETTERS, place, place)
  end
  return table.concat(letters)
end

-- The channel's epoch and top offset, made when missing; lengthens their life.
local function touch(channel, meta_ttl)
  local key = meta_key(channel)
  local meta = redis.call("HMGET", key, "e", "s")
  if not meta[1] then
    meta = {new_epoch(channel), "0"}
    redis.call("DEL", stream_key(channel))
    redis.call("HSET", key, "e", meta[1], "s", meta[2])
  end
  redis.call("PEXPIRE", key, meta_ttl)
  return meta[1], tonumber(meta[2])
end

-- Whether the stream holds this version or a later one; else remembers it. Versions are padded with zeros to one length.
local function is_old(channel, version, version_epoch)
  local key = meta_key(channel)
  local held = redis.call("HMGET", key, "v", "ve")
  if held[1] and (version_epoch == "" or version_epoch == held[2]) and held[1] >= version then
    return true
  end
  redis.call("HSET", key, "v", version, "ve", version_epoch)
  return false
end

local function store(channel, p)
  local offset = redis.call("HINCRBY", meta_key(channel), "s", 1)
  local key = stream_key(channel)
  if offset == 1 then
    redis.call("DEL", key)
  end
  local id = string.format("%.0f-0", offset)
  if p.meta == "" then
    redis.call("XADD", key, "MAXLEN", p.size, id, "d", p.data)
  else
    redis.call("XADD", key, "MAXLEN", p.size, id, "d", p.data, "m", p.meta)
  end
  redis.call("PEXPIRE", key, p.ttl)
  return offset
end

-- p: data, meta, size, ttl, meta_ttl (ms), version, version_epoch, key. Returns {offset, epoch, 1 when suppressed}.
local function publish(channel, p)
  local result = PREFIX .. ".result." .. channel .. "." .. p.key
  if p.key ~= "" then
    local known = redis.call("GET", result)
    if known then
      local offset, epoch = string.match(known, "^(%d+):(.*)$")
      return {tonumber(offset), epoch, 1}
    end
  end
  local offset, epoch, top = 0, "", 0
  if p.size > 0 then
    epoch, top = touch(channel, p.meta_ttl)
    if p.version ~= "" and is_old(channel, p.version, p.version_epoch) then
      return {top, epoch, 1}
    end
    offset = store(channel, p)
  end
  local place = string.format("p:%.0f:%s:%.0f:%d:", offset, epoch, offset > 0 and now_ms() or 0, #p.meta)
  redis.call("PUBLISH", client_channel(channel), place .. p.meta .. p.data)
  if p.key ~= "" then
    redis.call("SET", result, string.format("%.0f:%s", offset, epoch), "PX", IDEMPOTENCY_TTL)
  end
  return {offset, epoch, 0}
end

inner("publish", {}, function(channel, args)
  return publish(channel, {
    data = args[1], meta = args[2], size = tonumber(args[3]), ttl = args[4], meta_ttl = args[5],
    version = args[6], version_epoch = args[7], key = args[8],
  })
end)

-- args: limit (0 none, negative all), since offset or "", "1" for reverse, meta TTL in ms. Returns {top, epoch, entries}.
inner("history", EVEN_WHEN_FULL, function(channel, args)
  local epoch, top = touch(channel, args[4])
  local limit, since, reverse = tonumber(args[1]), tonumber(args[2]), args[3] == "1"
  if limit == 0 or (reverse and since and since <= 1) then
    return {top, epoch, {}}
  end
  local command, first, last = "XRANGE", "-", "+"
  if reverse then
    command, first, last = "XREVRANGE", "+", "-"
  end
  if since then
    first = string.format("%.0f", reverse and since - 1 or since + 1)
  end
  local call = {command, stream_key(channel), first, last}
  if limit > 0 then
    call[5], call[6] = "COUNT", limit
  end
  return {top, epoch, redis.call(unpack(call))}
end)

inner("remove_history", EVEN_WHEN_FULL, function(channel, args)
  return redis.call("DEL", stream_key(channel))
end)

-- Presence

local function presence_keys(channel)
  return PREFIX .. ".presence.data." .. channel, PREFIX .. ".presence.expire." .. channel
end

local function drop_expired(channel)
  local data, expire = presence_keys(channel)
  local now = string.format("%.0f", now_ms())
  repeat
    local gone = redis.call("ZRANGEBYSCORE", expire, "-inf", now, "LIMIT", 0, 500)
    if #gone > 0 then
      redis.call("HDEL", data, unpack(gone))
      redis.call("ZREM", expire, unpack(gone))
    end
  until #gone < 500
end

-- args: client, info, TTL in ms
inner("presence_add", {}, function(channel, args)
  local data, expire = presence_keys(channel)
  drop_expired(channel)
  redis.call("ZADD", expire, string.format("%.0f", now_ms() + tonumber(args[3])), args[1])
  redis.call("HSET", data, args[1], args[2])
  redis.call("PEXPIRE", data, args[3])
  redis.call("PEXPIRE", expire, args[3])
  return 1
end)

inner("presence_remove", EVEN_WHEN_FULL, function(channel, args)
  local data, expire = presence_keys(channel)
  redis.call("HDEL", data, args[1])
  redis.call("ZREM", expire, args[1])
  return 1
end)

-- Returns {client, info, client, info...}.
inner("presence", EVEN_WHEN_FULL, function(channel, args)
  drop_expired(channel)
  return redis.call("HGETALL", (presence_keys(channel)))
end)

-- Returns {number of clients, number of distinct users}.
inner("presence_stats", EVEN_WHEN_FULL, function(channel, args)
  drop_expired(channel)
  local infos = redis.call("HVALS", (presence_keys(channel)))
  local users, distinct = {}, 0
  for _, info in ipairs(infos) do
    local user = cjson.decode(info).user
    if not users[user] then
      users[user] = true
      distinct = distinct + 1
    end
  end
  return {#infos, distinct}
end)

-- Leases: who of the nodes does a job that only one may do.

-- args: holder, TTL in ms. Takes or lengthens the lease; returns 1 when the holder has it.
inner("lease", EVEN_WHEN_FULL, function(name, args)
  local key = PREFIX .. ".lease." .. name
  local holder = redis.call("GET", key)
  if holder and holder ~= args[1] then
    return 0
  end
  redis.call("SET", key, args[1], "PX", args[2])
  return 1
end)

-- args: holder. Gives the lease up and tells the others.
inner("lease_release", EVEN_WHEN_FULL, function(name, args)
  local key = PREFIX .. ".lease." .. name
  if redis.call("GET", key) ~= args[1] then
    return 0
  end
  redis.call("DEL", key)
  redis.call("PUBLISH", key, "")
  return 1
end)

-- Inbox: a stream that other programs add to; its name is the first argument.

-- args: consumer group, id, id... These entries are done with.
local function inbox_done(stream, args)
  local ids = {unpack(args, 2)}
  redis.call("XACK", stream, args[1], unpack(ids))
  return redis.call("XDEL", stream, unpack(ids))
end

inner("inbox_done", EVEN_WHEN_FULL, inbox_done)

-- args: consumer group, id, stream of dead entries, its maximal length, reason, field, value... Puts one entry there.
inner("inbox_bury", {}, function(stream, args)
  redis.call("XADD", args[3], "MAXLEN", "~", args[4], "*", "reason", args[5], "entry", args[2], unpack(args, 6))
  return inbox_done(stream, {args[1], args[2]})
end)

-- Consumers of nodes that are gone for good. args: consumer group. Only those with nothing pending are removed.
inner("inbox_tidy", EVEN_WHEN_FULL, function(stream, args)
  local removed = 0
  for _, fields in ipairs(redis.call("XINFO", "CONSUMERS", stream, args[1])) do
    local consumer = {}
    for i = 1, #fields, 2 do
      consumer[fields[i]] = fields[i + 1]
    end
    if consumer.pending == 0 and consumer.idle > 3600000 then
      redis.call("XGROUP", "DELCONSUMER", stream, args[1], consumer.name)
      removed = removed + 1
    end
  end
  return removed
end)

-- The public door: FCALL @PUBLIC@ 1 <channel> <data> [idempotency key]

-- args: name, JSON, name, JSON...
inner("options", EVEN_WHEN_FULL, function(_, args)
  local key = PREFIX .. ".options"
  redis.call("DEL", key)
  for i = 1, #args, 2 do
    redis.call("HSET", key, args[i], args[i + 1])
  end
  return #args / 2
end)

-- The second byte narrows what follows some first bytes (RFC 3629, section 4): no long forms, no surrogates, no end.
local SECOND = {[224] = {160, 191}, [237] = {128, 159}, [240] = {144, 191}, [244] = {128, 143}}
local TAILS = {"^[\128-\191]", "^[\128-\191][\128-\191]", "^[\128-\191][\128-\191][\128-\191]"}

local function is_utf8(text)
  local at = string.find(text, "[\128-\255]")
  while at do
    local first, second = string.byte(text, at, at + 1)
    local tail = first >= 240 and 3 or first >= 224 and 2 or 1
    if first < 194 or first > 244 or not string.find(text, TAILS[tail], at + 1) then
      return false
    end
    local bounds = SECOND[first]
    if bounds and (second < bounds[1] or second > bounds[2]) then
      return false
    end
    at = string.find(text, "[\128-\255]", at + tail + 1)
  end
  return true
end

local LITERALS = {["true"] = true, ["false"] = true, ["null"] = true}

local function is_number(token)
  local rest = string.match(token, "^%-?0(.*)$") or string.match(token, "^%-?[1-9]%d*(.*)$")
  if not rest then
    return false
  end
  rest = string.gsub(rest, "^%.%d+", "")
  rest = string.gsub(rest, "^[eE][-+]?%d+$", "")
  return rest == ""
end

local strict = nil

-- cjson takes more than JSON has (NaN, 0x10, 01, control characters in strings...), so tokens are looked at as well.
local function is_json(text)
  if not strict then
    strict = cjson.new()
    strict.decode_invalid_numbers(false)
    strict.decode_max_depth(@NESTING@)
  end
  if not pcall(strict.decode, text) or not is_utf8(text) then
    return false
  end
  local bare = string.gsub(string.gsub(text, "\\\\", ""), '\\"', "")
  local inside = false
  for part in string.gmatch(bare .. '"', '([^"]*)"') do
    if inside then
      if string.find(part, "[%z\1-\31]") then
        return false
      end
    else
      for token in string.gmatch(part, "[^%[%]{},:%s]+") do
        if not LITERALS[token] and not is_number(token) then
          return false
        end
      end
    end
    inside = not inside
  end
  return true
end

local REFUSALS = {
  [""] = function(data) return data == "" and "the data is empty" end,
  json = function(data) return not is_json(data) and "the data is not valid JSON" end,
  json_object = function(data)
    return not (string.find(data, "^[ \t\r\n]*{") and is_json(data)) and "the data is not a JSON object"
  end,
  binary = function(data) return false end,
}

redis.register_function("@PUBLIC@", function(keys, args)
  local channel, data, key = keys[1], args[1], args[2] or ""
  if not channel or channel == "" or not data then
    return redis.error_reply("ERR call it as: FCALL @PUBLIC@ 1 <channel> <data> [idempotency key]")
  end
  local namespace = string.match(channel, "^%$?([^:]*):") or ""
  local found = redis.call("HMGET", PREFIX .. ".options", namespace, ":shards")
  if not found[2] then
    return redis.error_reply("ERR no server has told its namespaces to this Redis yet: start one and try again")
  end
  if found[2] ~= "1" then
    return redis.error_reply("ERR with several Redis servers use the inbox stream or the HTTP API to publish")
  end
  if not found[1] then
    return redis.error_reply("ERR unknown namespace " .. namespace .. ": add it to the configuration or publish elsewhere")
  end
  local options = cjson.decode(found[1])
  local refusal = REFUSALS[options.format](data)
  if refusal then
    return redis.error_reply("ERR " .. refusal .. ": see publication_data_format of the namespace")
  end
  local outcome = publish(channel, {
    data = data, meta = options.delta and '{"delta":true}' or "", size = options.size,
    ttl = string.format("%.0f", options.ttl), meta_ttl = string.format("%.0f", options.meta_ttl),
    version = "", version_epoch = "", key = key,
  })
  return {outcome[1], outcome[2]}
end)

inner("version", {"no-writes", "allow-oom"}, function()
  return VERSION
end)
