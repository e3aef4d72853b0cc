/* The phases of a run: connect, settle, warm up, measure, drain, report one line of JSON. */
#define _GNU_SOURCE
#include "fanload.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const double QUIET_S = 1.5; /* no delivery for so long: nothing more will come */

struct snapshot {
    uint64_t time;
    struct counts counts;
    struct usage server;
    double own_cpu_s;
};

struct connecting {
    double wall_s;
    double server_cpu_s;
    long rss_before_kib;
    long rss_idle_kib;
};

static void raise_file_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static struct snapshot snap(void)
{
    return (struct snapshot){now_ns(), counts, server_usage(), own_cpu_s()};
}

static void run_events_for(double seconds)
{
    uint64_t start = now_ns();
    while (seconds_since(start) < seconds)
        run_events(10);
}

static struct connecting connect_all(void)
{
    struct connecting figures;
    struct usage before = server_usage();
    uint64_t start = now_ns();
    open_subscribers();
    figures.wall_s = seconds_since(start);
    figures.server_cpu_s = server_usage().cpu_s - before.cpu_s;
    figures.rss_before_kib = before.rss_kib;
    run_events_for(opt.settle_s + opt.idle_s);
    figures.rss_idle_kib = server_usage().rss_kib;
    return figures;
}

static void publish_for(uint64_t start, double until_s)
{
    while (seconds_since(start) < until_s && counts.dead < opt.subscribers) {
        publish_due(start);
        run_events(1);
    }
}

/* Waits for what is still under way; returns the time of the last delivery. */
static uint64_t drain(void)
{
    uint64_t start = now_ns(), last = start, seen = counts.deliveries;
    while (seconds_since(last) < QUIET_S && seconds_since(start) < opt.drain_s && counts.dead < opt.subscribers) {
        if (counts.deliveries >= published.sent * (uint64_t)counts.ready)
            break;
        run_events(50);
        if (counts.deliveries != seen) {
            seen = counts.deliveries;
            last = now_ns();
        }
    }
    return last;
}

static void report(struct connecting connecting, struct snapshot from, struct snapshot to, uint64_t last)
{
    double measured_s = (double)(last - from.time) / 1e9;
    double cpu_s = to.server.cpu_s - from.server.cpu_s;
    double deliveries = (double)(to.counts.deliveries - from.counts.deliveries);
    printf("{\"label\":\"%s\",\"subscribers\":%d,\"dead\":%d,", opt.label, counts.ready, counts.dead);
    printf("\"connect_s\":%.3f,\"connect_cpu_s\":%.3f,", connecting.wall_s, connecting.server_cpu_s);
    printf("\"rss_before_kib\":%ld,\"rss_idle_kib\":%ld,\"rss_end_kib\":%ld,", connecting.rss_before_kib,
           connecting.rss_idle_kib, to.server.rss_kib);
    printf("\"rate\":%g,\"sent\":%llu,\"expected\":%llu,\"received\":%llu,", opt.rate,
           (unsigned long long)published.sent, (unsigned long long)(published.sent * (uint64_t)counts.ready),
           (unsigned long long)counts.deliveries);
    printf("\"deliveries_per_s\":%.0f,\"frames_per_delivery\":%.4f,", measured_s > 0 ? deliveries / measured_s : 0,
           deliveries > 0 ? (double)(to.counts.frames - from.counts.frames) / deliveries : 0);
    printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,", latency_ms(.5), latency_ms(.99),
           latency_ms(.999), latency_ms(.9999999));
    printf("\"server_cpu_s\":%.2f,\"cpu_us_per_delivery\":%.4f,", cpu_s, deliveries > 0 ? cpu_s * 1e6 / deliveries : 0);
    printf("\"generator_cpu_s\":%.2f,\"measured_s\":%.3f,\"stalled_s\":%.3f}\n", to.own_cpu_s - from.own_cpu_s,
           measured_s, published.stalled_s);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    alarm(5 * MAX_SECONDS); /* whatever happens, it ends */
    raise_file_limit();
    struct connecting connecting = connect_all();
    open_publisher(epoll_fd);

    uint64_t start = now_ns();
    publish_for(start, opt.warm_s);
    latency_forget();
    measuring = 1;
    struct snapshot from = snap();
    publish_for(start, opt.publish_port ? opt.warm_s + opt.measure_s : 0);
    uint64_t last = drain();
    report(connecting, from, snap(), last);
    return 0;
}
