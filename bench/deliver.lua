-- wrk's side of bench/delivery.py: sends the requests of a file one after the other and tells what came of it.
--
--     wrk ... -s bench/deliver.lua URL -- FILE HOW_MANY

local requests, given, asked = {}, 0, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   for _ = 1, tonumber(args[2]) do
      local length = file:read("*l")
      requests[#requests + 1] = file:read(tonumber(length))
   end
   file:close()
   given = #requests
end

function request()
   -- wrk looks at the first one before it begins; that one is not sent.
   asked = asked + 1
   return requests[math.max(asked - 2, 0) % given + 1]
end

function done(summary, latency)
   local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
   io.write(string.format("\ndone %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.errors.status, lost,
      latency:percentile(50), latency:percentile(99)))
end
