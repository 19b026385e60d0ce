-- An include: the digest of a message's two ends (`sampleDigest` of src/redis/sample.ts). Needs the local sampleBytes.
local function digest(message) return redis.sha1hex(message:sub(1, sampleBytes) .. message:sub(-sampleBytes)) end
