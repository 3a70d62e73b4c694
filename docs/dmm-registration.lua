-- The registration protocol of draft section 4.2 in Wireshark and tshark.
--
--   wireshark -X lua_script:docs/dmm-registration.lua results/two-mr/capture/SERVER.pcap
--   tshark    -X lua_script:docs/dmm-registration.lua -r SERVER.pcap -Y 'dmmreg.type == 5' -V
--
-- or copy it into the folder that Help > About > Folders calls "Personal Lua Plugins". Filters begin with "dmmreg.".
-- The tables below say what nodes/registration/wire.py says; tests/nodes/registration/test_dissector.py compares them.

local PORT, VERSION, SMALLEST, LARGEST, SIGNATURE = 48620, 1, 28, 1200, 16

local TYPES = {
  [1] = "REGISTER",
  [2] = "REGISTERED",
  [3] = "DEREGISTER",
  [4] = "DEREGISTERED",
  [5] = "SERVICE_REQUEST",
  [6] = "SERVICE_ANSWER",
  [7] = "INCOMING_REQUEST",
  [8] = "INCOMING_ANSWER",
  [9] = "LEG_OPEN",
  [10] = "LEG_OPENED",
  [11] = "LEG_CLOSE",
  [12] = "LEG_CLOSED",
  [13] = "SESSION_CLOSE",
  [14] = "SESSION_CLOSED",
  [15] = "KEEPALIVE",
  [16] = "ALIVE",
  [17] = "REFUSED",
  [18] = "DECLINED",
  [19] = "LEG_HELLO",
  [20] = "SESSION_ENDED",
}

local MODES = {
  [1] = "P2P",
  [2] = "CENTRAL",
  [3] = "COMBINED",
}

local TRANSPORTS = {
  [6] = "TCP",
  [17] = "UDP",
}

local LEGS = {
  [1] = "PLAIN",
  [2] = "RESUMABLE",
}

local REASONS = {
  [1] = "MALFORMED",
  [2] = "UNKNOWN_NODE",
  [3] = "BAD_AUTHENTICATOR",
  [4] = "REPLAYED",
  [5] = "SUPERSEDED",
  [6] = "NOT_REGISTERED",
  [7] = "UNKNOWN_TARGET",
  [8] = "TARGET_NOT_REGISTERED",
  [9] = "TARGET_EXPIRED",
  [10] = "UNKNOWN_SERVICE",
  [11] = "UNREACHABLE",
  [12] = "DECLINED",
  [13] = "NO_RELAY",
  [14] = "UNKNOWN_SESSION",
  [15] = "OVERLOADED",
  [16] = "FOREIGN_ADDRESS",
}

-- code = { name, kind, what it is }
local ATTRIBUTES = {
  [1] = { "node", "text", "the node whose key signs: sender of a request, receiver of an answer" },
  [2] = { "target", "text", "the node asked for; towards the MN, the node that asks" },
  [3] = { "addresses", "address", "newest first; repeated" },
  [4] = { "port", "u16", "port of the service, or of the relay" },
  [5] = { "service", "text", "name of the service" },
  [6] = { "lifetime_ms", "u32", "lifetime of the binding in milliseconds, asked for or granted" },
  [7] = { "control_port", "u16", "UDP port at which the node takes requests; absent: where it sent from" },
  [8] = { "mode", "mode", "1 P2P, 2 central, 3 combined" },
  [9] = { "transport", "transport", "6 TCP, 17 UDP" },
  [10] = { "reason", "reason", "why it was refused" },
  [11] = { "session", "u64", "the relayed session" },
  [12] = { "peer_address", "address", "address the CN will use in the user plane" },
  [13] = { "peer_port", "u16", "port the CN will use in the user plane" },
  [14] = { "highest", "u64", "highest sequence the server has seen from the node" },
  [15] = { "leg", "leg", "1 plain, 2 resumable" },
  [16] = { "offset", "u64", "bytes of the stream received so far" },
  [17] = { "services", "service", "further services: port (16 bits) and name; repeated" },
}

local ENUMS = { mode = MODES, transport = TRANSPORTS, leg = LEGS, reason = REASONS }

local registration = Proto("dmmreg", "DMM registration protocol")
local fields = {
  version = ProtoField.uint8("dmmreg.version", "Version"),
  type = ProtoField.uint8("dmmreg.type", "Type", base.DEC, TYPES),
  length = ProtoField.uint16("dmmreg.length", "Length"),
  sequence = ProtoField.uint64("dmmreg.sequence", "Sequence"),
  code = ProtoField.uint8("dmmreg.attribute.code", "Code"),
  size = ProtoField.uint8("dmmreg.attribute.length", "Length"),
  unknown = ProtoField.bytes("dmmreg.attribute.value", "Value"),
  authenticator = ProtoField.bytes("dmmreg.authenticator", "Authenticator (HMAC-SHA256, 128 bits)"),
}

-- One field an attribute, dmmreg.NAME; an address has a second one for IPv6, dmmreg.NAME6, and a service two:
-- its port, dmmreg.NAME.port, beside its name.
local makers = {
  text = function(filter, name, doc) return ProtoField.string(filter, name, base.UNICODE, doc) end,
  address = function(filter, name, doc) return ProtoField.ipv4(filter, name, doc) end,
  u16 = function(filter, name, doc) return ProtoField.uint16(filter, name, base.DEC, nil, nil, doc) end,
  u32 = function(filter, name, doc) return ProtoField.uint32(filter, name, base.DEC, nil, nil, doc) end,
  u64 = function(filter, name, doc) return ProtoField.uint64(filter, name, base.DEC, nil, nil, doc) end,
}
makers.service = makers.text
local values, values6, ports = {}, {}, {}
for code, row in pairs(ATTRIBUTES) do
  local name, kind, doc = row[1], row[2], row[3]
  local filter = "dmmreg." .. name
  if ENUMS[kind] then
    values[code] = ProtoField.uint8(filter, name, base.DEC, ENUMS[kind], nil, doc)
  else
    values[code] = makers[kind](filter, name, doc)
  end
  fields["value" .. code] = values[code]
  if kind == "address" then
    values6[code] = ProtoField.ipv6(filter .. "6", name, doc)
    fields["six" .. code] = values6[code]
  elseif kind == "service" then
    ports[code] = ProtoField.uint16(filter .. ".port", name .. ", port", base.DEC)
    fields["port" .. code] = ports[code]
  end
end
registration.fields = fields

local malformed = ProtoExpert.new("dmmreg.malformed", "Malformed message", expert.group.MALFORMED, expert.severity.ERROR)
registration.experts = { malformed }

local WIDTHS = { mode = 1, transport = 1, leg = 1, reason = 1, u16 = 2, u32 = 4, u64 = 8 }

-- Whether an attribute's value is as long as its kind says.
local function fits(kind, size)
  if kind == "address" then return size == 4 or size == 16 end
  if kind == "service" then return size > 2 end
  return kind == "text" or WIDTHS[kind] == size
end

local function attribute(tree, buffer)
  local code, size = buffer(0, 1):uint(), buffer(1, 1):uint()
  local row = ATTRIBUTES[code]
  local branch = tree:add(registration, buffer, row and row[1] or ("attribute " .. code))
  branch:add(fields.code, buffer(0, 1))
  branch:add(fields.size, buffer(1, 1))
  if size == 0 then return nil end
  local value = buffer(2, size)
  if not row or not fits(row[2], size) then
    branch:add(fields.unknown, value)
    return nil
  end
  if row[2] == "service" then
    branch:add(ports[code], buffer(2, 2))
    branch:set_text(branch:add(values[code], buffer(4, size - 2)).text .. ", port " .. buffer(2, 2):uint())
    return nil
  end
  local known = (row[2] == "address" and size == 16) and values6[code] or values[code]
  local leaf = branch:add(known, value)
  branch:set_text(leaf.text)
  return row[2] == "text" and value:string() or nil
end

-- One whole message; returns how many bytes it took.
local function message(buffer, info, tree)
  local kind, length = buffer(1, 1):uint(), buffer(2, 2):uint()
  local root = tree:add(registration, buffer(0, length))
  root:add(fields.version, buffer(0, 1))
  root:add(fields.type, buffer(1, 1))
  root:add(fields.length, buffer(2, 2))
  root:add(fields.sequence, buffer(4, 8))
  local name = TYPES[kind] or ("type " .. kind)
  local place, finish, node = 12, length - SIGNATURE, ""
  while place < finish do
    local size = place + 1 < finish and buffer(place + 1, 1):uint() + 2 or finish + 1
    if place + size > finish then
      root:add_proto_expert_info(malformed, "attribute is cut off")
      break
    end
    local text = attribute(root, buffer(place, size))
    if buffer(place, 1):uint() == 1 then node = text or "" end
    place = place + size
  end
  root:add(fields.authenticator, buffer(finish, SIGNATURE))
  root:append_text(", " .. name .. " " .. node)
  info.cols.info:append((tostring(info.cols.info) == "" and "" or ", ") .. name .. " " .. node)
  return length
end

local function is_message(buffer)
  if buffer:len() < 4 or buffer(0, 1):uint() ~= VERSION then return false end
  local length = buffer(2, 2):uint()
  return length >= SMALLEST and length <= LARGEST
end

function registration.dissector(buffer, info, tree)
  if not is_message(buffer) then return 0 end
  info.cols.protocol = "DMM-REG"
  info.cols.info = ""
  if info.port_type ~= 2 then -- UDP: one message a datagram
    if buffer:len() < buffer(2, 2):uint() then return 0 end
    return message(buffer, info, tree)
  end
  dissect_tcp_pdus(buffer, tree, 4, function(head) return head(2, 2):uint() end, function(whole, about, branch)
    if is_message(whole) then return message(whole, about, branch) end
    return whole:len()
  end)
  return buffer:len()
end

DissectorTable.get("udp.port"):add(PORT, registration)
DissectorTable.get("tcp.port"):add(PORT, registration) -- a leg of a relayed session: Decode As > dmmreg
