-- Sends the credentials of a file, one `Authorization` a line, one after the other.
local values, at = {}, 0

function init(args)
    for line in io.lines(args[1]) do
        values[#values + 1] = line
    end
    at = math.random(#values)
end

function request()
    at = at % #values + 1
    return wrk.format("GET", "/", { ["Authorization"] = values[at] })
end
