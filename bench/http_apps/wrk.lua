-- The request of a load, from the environment of wrk, and its outcome as one line of JSON.

wrk.method = os.getenv("BENCH_METHOD")
if os.getenv("BENCH_BODY") ~= "" then
    wrk.body = io.open(os.getenv("BENCH_BODY"), "rb"):read("*a")
    wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"answers": %d, "seconds": %.6f, "p50_us": %.1f, "p99_us": %.1f, "refused": %d, "failed": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
